//! Statements as shell commands.
