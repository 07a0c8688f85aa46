// Runs the conformance suite against a server, and compares what fails with what is expected to.
//
//     node conformance.mjs URL FIXTURES
//
// FIXTURES is the URL of `fixtures.mjs` in front of the same server. A scenario that is not run is in
// a list with its reason, and so is a check that fails. Any other failure, and any scenario or check
// that is in a list and is not known or passes, is an error.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [url, fixtures] = process.argv.slice(2);
const suite = new URL("node_modules/@modelcontextprotocol/conformance/dist/index.js", import.meta.url).pathname;

// For each scenario: the revision that it is run in, and the checks that fail, with the reason.
const DIRECT = [
  ["2025-11-25", "server-initialize", {}],
  ["2025-11-25", "ping", {}],
  ["2025-11-25", "tools-list", {}],
  ["2025-11-25", "resources-list", {}],
  ["2025-11-25", "dns-rebinding-protection", {}],
  ["2025-11-25", "server-session-lifecycle", {}],
  ["2025-11-25", "server-sse-polling", {}],
  ["2025-11-25", "server-sse-multiple-streams", {}],
  ["2026-07-28", "server-stateless", {
    "sep-2575-server-rejects-undeclared-capability": "needs the tool test_missing_capability",
    "sep-2575-missing-capability-http-400": "needs the tool test_missing_capability",
    "sep-2575-http-server-no-independent-requests-on-stream": "needs the tool test_streaming_elicitation",
    "sep-2575-server-no-log-without-loglevel": "needs the tool test_logging_tool",
  }],
  ["2026-07-28", "tools-list", {}],
  ["2026-07-28", "resources-list", {}],
  ["2026-07-28", "sep-2164-resource-not-found", {}],
  ["2026-07-28", "dns-rebinding-protection", {}],
  ["2026-07-28", "server-sse-multiple-streams", {}],
  ["2026-07-28", "http-header-validation", {}],
  ["2026-07-28", "caching", { "sep-2549-prompts-list-caching-hints": "there are no prompts" }],
  ["2026-07-28", "input-required-result-missing-input-response", {}],
  ["2026-07-28", "input-required-result-unsupported-methods", {}],
  ["2026-07-28", "input-required-result-ignore-extra-params", {}],
  ["2026-07-28", "input-required-result-validate-input", {}],
];

const TASKS = [
  ["tasks-lifecycle", { "sep-2663-tasks-get-status-failed": "needs the tool protocol_error_job" }],
  ["tasks-capability-negotiation", {}],
  ["tasks-wire-fields", {}],
  ["tasks-request-state-removal", {}],
  ["tasks-request-headers", {
    "tasks-headers-tolerate-mcp-method-on-tools-call": "compares two results, and each names its own job",
  }],
  ["tasks-dispatch-and-envelope", {
    "tasks-result-type-complete-on-non-task-responses": "needs the tool confirm_delete",
  }],
  ["tasks-status-notifications", {}],
];

const NOT_RUN = {
  "needs tools that the suite brings (test_…)": [
    "tools-call-simple-text", "tools-call-image", "tools-call-audio", "tools-call-embedded-resource",
    "tools-call-mixed-content", "tools-call-with-logging", "tools-call-error", "tools-call-with-progress",
    "tools-call-sampling", "tools-call-elicitation", "json-schema-2020-12", "elicitation-sep1034-defaults",
    "elicitation-sep1330-enums", "http-custom-header-server-validation",
    "input-required-result-basic-elicitation", "input-required-result-basic-sampling",
    "input-required-result-basic-list-roots", "input-required-result-request-state",
    "input-required-result-multiple-input-requests", "input-required-result-multi-round",
    "input-required-result-non-tool-request", "input-required-result-result-type",
    "input-required-result-tampered-state", "input-required-result-capability-check",
  ],
  "needs resources that the suite brings (test://…)": [
    "resources-read-text", "resources-read-binary", "resources-templates-read",
  ],
  "there is nothing to subscribe to, log, complete or prompt": [
    "resources-subscribe", "resources-unsubscribe", "logging-set-level", "completion-complete",
    "prompts-list", "prompts-get-simple", "prompts-get-with-args", "prompts-get-embedded-resource",
    "prompts-get-with-image",
  ],
  "no job asks its client for input": ["tasks-mrtr-input", "tasks-mrtr-composition"],
  "no tool requires tasks: all have a handle, too": ["tasks-required-task-error"],
  "another extension": ["sep-2640-skills-directory", "sep-2640-skills-enumeration", "sep-2640-skills-manifest"],
};

const wrong = [];
let passed = 0;
// Once for each revision, because a process for each scenario takes long.
const direct = new Map(["2025-11-25", "2026-07-28"].map((revision) => [revision, results(url, revision)]));
for (const [revision, scenario, expected] of DIRECT) {
  compare(`${scenario} (${revision})`, direct.get(revision).get(scenario), expected);
}
const tasks = results(fixtures, "2026-07-28");
for (const [scenario, expected] of TASKS) compare(scenario, tasks.get(scenario), expected);

const listed = spawnSync(process.execPath, [suite, "list"], { encoding: "utf8" }).stdout;
const [servers] = listed.split("Client scenarios");
const known = new Set([...servers.matchAll(/^ {2}- (\S+) /gm)].map(([, name]) => name));
const named = new Set([...DIRECT.map(([, name]) => name), ...TASKS.map(([name]) => name), ...Object.values(NOT_RUN).flat()]);
for (const name of known) if (!named.has(name)) wrong.push(`${name}: neither run nor listed`);
for (const name of named) if (!known.has(name)) wrong.push(`${name}: the suite has no such scenario`);
console.log(`${passed} checks passed; ${Object.values(NOT_RUN).flat().length} scenarios need what is not here`);
if (passed < 70) wrong.push(`only ${passed} checks were made`);
for (const line of wrong) console.error(line);
process.exit(wrong.length > 0 ? 1 : 0);

/** The checks of each scenario of a revision. */
function results(url, revision) {
  const folder = mkdtempSync(join(tmpdir(), "conformance-"));
  spawnSync(process.execPath, [suite, "server", "--url", url, "--requirements", revision, "--output-dir", folder]);
  const found = new Map();
  for (const name of readdirSync(folder)) {
    const [, scenario] = name.match(/^server-(.+?)-\d{4}-\d\d-\d\dT/) ?? [];
    if (scenario) found.set(scenario, JSON.parse(readFileSync(join(folder, name, "checks.json"), "utf8")));
  }
  rmSync(folder, { recursive: true });
  return found;
}

function compare(name, checks, expected) {
  if (!checks) {
    wrong.push(`${name}: no results`);
    return;
  }
  const failed = checks.filter((check) => check.status === "FAILURE");
  passed += checks.filter((check) => check.status === "SUCCESS").length;
  for (const check of failed) {
    if (!expected[check.id]) wrong.push(`${name}: ${check.id}: ${check.errorMessage}`);
  }
  for (const id of Object.keys(expected)) {
    if (!failed.some((check) => check.id === id)) wrong.push(`${name}: ${id} was expected to fail`);
  }
}
