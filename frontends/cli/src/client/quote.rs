//! Joins the words of a command line into one line for a shell.
//!
//! The line is shown to viewers, so words that need no quotes get none. The shell runner quotes paths
//! for scripts that are not read by people; it quotes always, and bytes that need not be UTF-8.

/// Several words are a command and its arguments, quoted as needed; a single word is already a line
/// for the shell.
pub(crate) fn statement(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => {
            let quoted: Vec<_> = words.iter().map(|word| quoted(word)).collect();
            quoted.join(" ")
        }
    }
}

fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_-./,:+@%".contains(it);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_single_word_is_a_line_for_the_shell() {
        assert_eq!(statement(&words(&["ls | wc -l"])), "ls | wc -l");
    }

    #[test]
    fn several_words_reach_the_command_unchanged() {
        let arguments = [
            "a b", "", "it's", "'", "$HOME", "`id`", "\\", "*", "~", "a=b", "&", "#x", "!",
            "é\n\t", "\"", "-n",
        ];
        let mut all = vec!["printf", "%s|"];
        all.extend(arguments);
        let statement = statement(&words(&all));
        let ran = Command::new("sh")
            .args(["-c", &statement])
            .output()
            .unwrap();
        let expected: String = arguments.iter().map(|it| format!("{it}|")).collect();
        assert_eq!(String::from_utf8(ran.stdout).unwrap(), expected);
    }

    #[test]
    fn plain_words_are_not_quoted() {
        let statement = statement(&words(&["make", "-j4", "out/a.b", "x y"]));
        assert_eq!(statement, "make -j4 out/a.b 'x y'");
    }
}
