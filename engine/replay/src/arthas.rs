//! Renders results of Arthas as Arthas does in its own console.
//!
//! The types are those of its HTTP API (Arthas 4.1.5). A result that looks different from what is
//! expected is not rendered: then its JSON is shown.

use serde_json::{Map, Value};
use std::fmt::Write as _;

/// The text of a result, with a newline at its end. None: a type that is not known here.
pub(crate) fn text(kind: &str, result: &Value) -> Option<String> {
    let text = match kind {
        "watch" => watch(result)?,
        "trace" => trace(result)?,
        "stack" => stack(result)?,
        "tt" => time_tunnel(result)?,
        "thread" => threads(result)?,
        "monitor" => monitor(result)?,
        "dashboard" => dashboard(result)?,
        "memory" => memory(object(result, "memoryInfo")?),
        "jvm" => sections(object(result, "jvmInfo")?),
        "enhancer" => enhancer(result)?,
        "reset" => affect(result.get("affect")?)?,
        "row_affect" => format!("Affect(row-cnt:{})", result.get("rowCount")?),
        "sc" => classes(result)?,
        "sm" => method(result)?,
        "classloader" => class_loaders(result)?,
        "help" => help(result)?,
        "history" => history(result)?,
        "sysprop" => pairs(object(result, "props")?, "="),
        "sysenv" => pairs(object(result, "env")?, "="),
        "vmoption" => records(
            list(result, "vmOptions")?,
            &["name", "value", "origin", "writeable"],
        ),
        "options" => records(
            list(result, "options")?,
            &["name", "value", "type", "summary"],
        ),
        "mbean" => lines(list(result, "mbeanNames")?),
        "session" => own_members(result),
        "jad" => string(result, "source")?,
        "echo" | "cat" | "base64" => string(result, "content")?,
        "profiler" => string(result, "executeResult")?,
        "ognl" | "vmtool" => string(result, "value")?,
        "getstatic" => format!(
            "field: {}\n{}",
            string(result, "fieldName")?,
            string(result, "field")?
        ),
        "version" => string(result, "version")?,
        "pwd" => string(result, "workingDir")?,
        "message" | "upstream_gap" => string(result, "message")?,
        _ => return None,
    };
    Some(format!("{}\n", text.trim_end_matches('\n')))
}

/// Whether a result takes the place of the one before, as on a page that refreshes itself.
pub(crate) fn repaints(kind: &str) -> bool {
    kind == "dashboard"
}

fn watch(result: &Value) -> Option<String> {
    let value = string(result, "value")?;
    Some(format!(
        "method={}.{} location={}\nts={}; [cost={}ms] result={value}",
        string(result, "className")?,
        string(result, "methodName")?,
        string(result, "accessPoint")?,
        string(result, "ts")?,
        result.get("cost")?,
    ))
}

fn trace(result: &Value) -> Option<String> {
    let mut text = String::new();
    trace_node(result.get("root")?, 0, true, &mut text)?;
    Some(text)
}

/// Deeper calls than this are not shown. Arthas itself traces far fewer levels.
const DEPTH: usize = 100;

fn trace_node(node: &Value, depth: usize, is_last: bool, text: &mut String) -> Option<()> {
    let indent = "    ".repeat(depth);
    let line = match node.get("type")?.as_str()? {
        "thread" => thread_line(node, "timestamp"),
        "throw" => format!(
            "throw:{} #{} [{}]",
            string(node, "exception").unwrap_or_default(),
            number(node, "lineNumber"),
            string(node, "message").unwrap_or_default()
        ),
        _ => call_line(node),
    };
    let branch = if is_last { '`' } else { '+' };
    let _ = writeln!(text, "{indent}{branch}---{line}");
    if depth < DEPTH {
        let children = list(node, "children").unwrap_or_default();
        for (number, child) in children.iter().enumerate() {
            trace_node(child, depth + 1, number + 1 == children.len(), text)?;
        }
    }
    Some(())
}

fn call_line(node: &Value) -> String {
    let times = node.get("times").and_then(Value::as_u64).unwrap_or(1);
    let millis = |name| number(node, name) / 1e6;
    let mut line = match times {
        0 | 1 => format!("[{}ms]", millis("cost")),
        times => format!(
            "[min={}ms,max={}ms,total={}ms,count={times}]",
            millis("minCost"),
            millis("maxCost"),
            millis("totalCost")
        ),
    };
    let name = |member| string(node, member).unwrap_or_default();
    let _ = write!(line, " {}:{}()", name("className"), name("methodName"));
    if number(node, "lineNumber") > 0.0 {
        let _ = write!(line, " #{}", number(node, "lineNumber"));
    }
    if let Some(mark) = string(node, "mark") {
        let _ = write!(line, " [{mark}]");
    }
    line
}

fn thread_line(thread: &Value, time: &str) -> String {
    let shown = |name| thread.get(name).map(plain).unwrap_or_default();
    format!(
        "ts={};thread_name={};id={};is_daemon={};priority={};TCCL={}",
        shown(time),
        shown("threadName"),
        shown("threadId"),
        shown("daemon"),
        shown("priority"),
        shown("classloader"),
    )
}

fn stack(result: &Value) -> Option<String> {
    let frames = list(result, "stackTrace")?;
    let mut text = thread_line(result, "ts");
    for (depth, frame) in frames.iter().enumerate() {
        let _ = match depth {
            0 => write!(
                text,
                "\n    @{}.{}()",
                shown(frame, "className"),
                shown(frame, "methodName")
            ),
            _ => write!(text, "\n        at {}", stack_frame(frame)),
        };
    }
    Some(text)
}

fn stack_frame(frame: &Value) -> String {
    let (line, file) = (number(frame, "lineNumber"), string(frame, "fileName"));
    let place = match (file, line) {
        (_, -2.0) => "Native Method".to_owned(),
        (Some(file), line) if line > 0.0 => format!("{file}:{line}"),
        (Some(file), _) => file,
        (None, _) => "Unknown Source".to_owned(),
    };
    format!(
        "{}.{}({place})",
        shown(frame, "className"),
        shown(frame, "methodName")
    )
}

fn time_tunnel(result: &Value) -> Option<String> {
    if let Some(fragment) = result.get("timeFragment") {
        let mut rows = vec![];
        for (title, member) in [
            ("INDEX", "index"),
            ("GMT-CREATE", "timestamp"),
            ("COST(ms)", "cost"),
            ("OBJECT", "object"),
            ("CLASS", "className"),
            ("METHOD", "methodName"),
            ("IS-RETURN", "return"),
            ("IS-EXCEPTION", "throw"),
        ] {
            rows.push(vec![title.to_owned(), shown(fragment, member)]);
        }
        for (position, parameter) in list(fragment, "params")
            .unwrap_or_default()
            .iter()
            .enumerate()
        {
            rows.push(vec![
                format!("PARAMETERS[{position}]"),
                shown(parameter, "object"),
            ]);
        }
        let result = if fragment.get("throw") == Some(&Value::Bool(true)) {
            ("THROW-EXCEPTION", "throwExp")
        } else {
            ("RETURN-OBJ", "returnObj")
        };
        rows.push(vec![result.0.to_owned(), shown(fragment, result.1)]);
        return Some(table(None, rows));
    }
    let title = [
        "INDEX",
        "TIMESTAMP",
        "COST(ms)",
        "IS-RET",
        "IS-EXP",
        "OBJECT",
        "CLASS",
        "METHOD",
    ];
    let members = [
        "index",
        "timestamp",
        "cost",
        "return",
        "throw",
        "object",
        "className",
        "methodName",
    ];
    let rows = list(result, "timeFragmentList")?.iter();
    let rows = rows.map(|it| members.map(|member| shown(it, member)).to_vec());
    // A fragment comes as it is recorded: only the first has a title.
    let is_first = result.get("first") != Some(&Value::Bool(false));
    Some(table(is_first.then_some(&title), rows.collect()))
}

fn threads(result: &Value) -> Option<String> {
    if let Some(thread) = result.get("threadInfo") {
        return Some(thread_dump(thread));
    }
    if let Some(busy) = list(result, "busyThreads") {
        let dumps: Vec<_> = busy.iter().map(thread_dump).collect();
        return Some(dumps.join("\n\n"));
    }
    let stats = list(result, "threadStats")?;
    let counts = object(result, "threadStateCount")?;
    let total: u64 = counts.values().filter_map(Value::as_u64).sum();
    let mut text = format!("Threads Total: {total}");
    for (state, count) in counts {
        let _ = write!(text, ", {state}: {count}");
    }
    Some(format!("{text}\n{}", thread_table(stats)))
}

fn thread_dump(thread: &Value) -> String {
    let either = |one, other| {
        thread
            .get(one)
            .or_else(|| thread.get(other))
            .map(plain)
            .unwrap_or_default()
    };
    let mut text = format!(
        "\"{}\" Id={}",
        either("name", "threadName"),
        either("id", "threadId")
    );
    if let Some(cpu) = thread.get("cpu") {
        let _ = write!(
            text,
            " cpuUsage={cpu}% deltaTime={}ms time={}ms",
            shown(thread, "deltaTime"),
            shown(thread, "time")
        );
    }
    let _ = write!(text, " {}", either("state", "threadState"));
    for frame in list(thread, "stackTrace").unwrap_or_default() {
        let _ = write!(text, "\n    at {}", stack_frame(frame));
    }
    text
}

fn thread_table(stats: &[Value]) -> String {
    let title = [
        "ID",
        "NAME",
        "GROUP",
        "PRIORITY",
        "STATE",
        "%CPU",
        "DELTA(ms)",
        "TIME(ms)",
        "INTERRUPTED",
        "DAEMON",
    ];
    let members = [
        "id",
        "name",
        "group",
        "priority",
        "state",
        "cpu",
        "deltaTime",
        "time",
        "interrupted",
        "daemon",
    ];
    let rows = stats
        .iter()
        .map(|thread| members.map(|member| shown(thread, member)).to_vec());
    table(Some(&title), rows.collect())
}

fn monitor(result: &Value) -> Option<String> {
    let title = [
        "TIMESTAMP",
        "CLASS",
        "METHOD",
        "TOTAL",
        "SUCCESS",
        "FAIL",
        "AVG-RT(ms)",
        "FAIL-RATE",
    ];
    let rows = list(result, "monitorDataList")?.iter().map(|data| {
        let (total, failed) = (number(data, "total"), number(data, "failed"));
        let rate = if total > 0.0 {
            failed / total * 100.0
        } else {
            0.0
        };
        let average = if total > 0.0 {
            number(data, "cost") / total
        } else {
            0.0
        };
        vec![
            shown(data, "timestamp"),
            shown(data, "className"),
            shown(data, "methodName"),
            shown(data, "total"),
            shown(data, "success"),
            shown(data, "failed"),
            format!("{average:.2}"),
            format!("{rate:.2}%"),
        ]
    });
    Some(table(Some(&title), rows.collect()))
}

fn dashboard(result: &Value) -> Option<String> {
    let mut parts = vec![thread_table(list(result, "threads")?)];
    parts.push(memory(object(result, "memoryInfo")?));
    if let Some(collectors) = list(result, "gcInfos") {
        parts.push(records(
            collectors,
            &["name", "collectionCount", "collectionTime"],
        ));
    }
    if let Some(runtime) = object(result, "runtimeInfo") {
        parts.push(pairs(runtime, "  "));
    }
    let parts: Vec<_> = parts.iter().map(|part| part.trim_end()).collect();
    Some(parts.join("\n\n"))
}

fn memory(kinds: &Map<String, Value>) -> String {
    let pools = kinds.values().filter_map(Value::as_array).flatten();
    let rows = pools.map(|pool| {
        let (used, max) = (number(pool, "used"), number(pool, "max"));
        let limit = if max > 0.0 {
            max
        } else {
            number(pool, "total")
        };
        let usage = if limit > 0.0 {
            used / limit * 100.0
        } else {
            0.0
        };
        vec![
            shown(pool, "name"),
            size(used),
            size(number(pool, "total")),
            if max > 0.0 {
                size(max)
            } else {
                "-1".to_owned()
            },
            format!("{usage:.2}%"),
        ]
    });
    table(
        Some(&["Memory", "used", "total", "max", "usage"]),
        rows.collect(),
    )
}

/// Bytes in the unit that Arthas would use.
fn size(bytes: f64) -> String {
    const KIB: f64 = 1024.0;
    match bytes {
        _ if bytes < KIB => format!("{bytes}B"),
        _ if bytes < KIB * KIB => format!("{:.0}K", bytes / KIB),
        _ => format!("{:.0}M", bytes / KIB / KIB),
    }
}

/// Titles with named values below, as `jvm` has them.
fn sections(all: &Map<String, Value>) -> String {
    let sections = all.iter().map(|(title, values)| {
        let rows = values.as_array().into_iter().flatten();
        let rows = rows.map(|row| vec![format!("  {}", shown(row, "name")), shown(row, "value")]);
        format!("{title}\n{}", table(None, rows.collect()))
    });
    sections.collect::<Vec<_>>().join("\n")
}

fn enhancer(result: &Value) -> Option<String> {
    let affected = affect(result.get("effect")?)?;
    Some(match string(result, "message") {
        Some(message) => format!("{affected}\n{message}"),
        None => affected,
    })
}

fn affect(effect: &Value) -> Option<String> {
    Some(format!(
        "Affect(class count: {} , method count: {}) cost in {} ms, listenerId: {}",
        effect.get("classCount")?,
        effect.get("methodCount")?,
        effect.get("cost")?,
        shown(effect, "listenerId"),
    ))
}

fn classes(result: &Value) -> Option<String> {
    match result.get("classInfo") {
        Some(info) => {
            let members = info.as_object()?.iter();
            let rows = members.map(|(name, value)| vec![name.clone(), plain(value)]);
            Some(table(None, rows.collect()))
        }
        None => Some(lines(list(result, "classNames")?)),
    }
}

fn method(result: &Value) -> Option<String> {
    let info = result.get("methodInfo")?;
    let short = format!(
        "{} {}{}",
        string(info, "declaringClass")?,
        string(info, "methodName")?,
        string(info, "descriptor")?
    );
    match result.get("detail") {
        Some(Value::Bool(true)) => {
            let members = info.as_object()?.iter();
            let rows = members.map(|(name, value)| vec![name.clone(), plain(value)]);
            Some(table(None, rows.collect()))
        }
        _ => Some(short),
    }
}

fn class_loaders(result: &Value) -> Option<String> {
    if let Some(loaders) = list(result, "classLoaders") {
        return Some(records(loaders, &["name", "loadedCount", "hash", "parent"]));
    }
    let rows = object(result, "classLoaderStats")?
        .iter()
        .map(|(name, stats)| {
            vec![
                name.clone(),
                shown(stats, "numberOfInstance"),
                shown(stats, "loadedCount"),
            ]
        });
    Some(table(
        Some(&["name", "numberOfInstances", "loadedCountTotal"]),
        rows.collect(),
    ))
}

fn help(result: &Value) -> Option<String> {
    if let Some(commands) = list(result, "commands") {
        let rows = commands
            .iter()
            .map(|it| vec![shown(it, "name"), shown(it, "summary")]);
        return Some(table(None, rows.collect()));
    }
    let command = result.get("detailCommand")?;
    let mut text = format!(
        "USAGE: {}\n\n{}\n",
        shown(command, "usage"),
        shown(command, "summary")
    );
    if let Some(description) = string(command, "description") {
        let _ = writeln!(text, "\n{description}");
    }
    let options = list(command, "options").unwrap_or_default().iter();
    let rows: Vec<_> = options
        .map(|option| {
            let names = [("-", "shortName"), ("--", "longName")];
            let names = names
                .iter()
                .filter_map(|(dash, member)| Some(format!("{dash}{}", string(option, member)?)));
            vec![
                format!("  {}", names.collect::<Vec<_>>().join(", ")),
                shown(option, "description"),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let _ = write!(text, "\nOPTIONS:\n{}", table(None, rows));
    }
    Some(text)
}

fn history(result: &Value) -> Option<String> {
    let commands = list(result, "history")?.iter().zip(1..);
    let lines = commands.map(|(command, number)| format!("{number:>5}  {}", plain(command)));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

/// The members that are not Rejoin's own.
fn own_members(result: &Value) -> String {
    let members = result.as_object().into_iter().flatten();
    let own =
        members.filter(|(name, _)| !["type", "jobId", "upstreamJobId"].contains(&name.as_str()));
    let rows = own.map(|(name, value)| vec![name.clone(), plain(value)]);
    table(None, rows.collect())
}

fn pairs(members: &Map<String, Value>, separator: &str) -> String {
    let lines = members
        .iter()
        .map(|(name, value)| format!("{name}{separator}{}", plain(value)));
    lines.collect::<Vec<_>>().join("\n")
}

fn lines(values: &[Value]) -> String {
    values.iter().map(plain).collect::<Vec<_>>().join("\n")
}

/// A table of objects, with the names of members as titles.
fn records(objects: &[Value], members: &[&str]) -> String {
    let rows = objects
        .iter()
        .map(|object| members.iter().map(|member| shown(object, member)).collect());
    table(Some(members), rows.collect())
}

/// Columns as wide as their widest cell; further lines of a cell are indented to its column.
fn table(title: Option<&[&str]>, rows: Vec<Vec<String>>) -> String {
    let title = title.map(|cells| cells.iter().map(|cell| (*cell).to_owned()).collect());
    let rows: Vec<Vec<String>> = title.into_iter().chain(rows).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .flat_map(|cell| cell.lines())
            .map(|line| line.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        let mut column = 0;
        for (cell, width) in row.iter().zip(&widths) {
            let indent = format!("\n{}", " ".repeat(column));
            let padding =
                width.saturating_sub(cell.lines().last().unwrap_or_default().chars().count());
            line += &cell.replace('\n', &indent);
            line += &" ".repeat(padding + 2);
            column += width + 2;
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn string(object: &Value, name: &str) -> Option<String> {
    object.get(name)?.as_str().map(str::to_owned)
}

fn list<'a>(object: &'a Value, name: &str) -> Option<&'a [Value]> {
    object.get(name)?.as_array().map(Vec::as_slice)
}

fn object<'a>(object: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
    object.get(name)?.as_object()
}

fn number(object: &Value, name: &str) -> f64 {
    object.get(name).and_then(Value::as_f64).unwrap_or_default()
}

fn shown(object: &Value, name: &str) -> String {
    object.get(name).map(plain).unwrap_or_default()
}

/// A value in a cell: texts without quotes, lists with commas.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// Results of a real Arthas 4.1.5, and how they are shown. The web console's tests use the same.
    fn file(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/arthas")
            .join(name)
    }

    #[test]
    fn results_of_a_real_arthas_are_shown_as_it_shows_them() {
        let results = std::fs::read_to_string(file("results.jsonl")).unwrap();
        let mut rendered = String::new();
        for line in results.lines() {
            let result: Value = serde_json::from_str(line).unwrap();
            let kind = result["type"].as_str().unwrap();
            let text = text(kind, &result).unwrap_or_else(|| panic!("not rendered: {line}"));
            let _ = write!(rendered, "=== {kind}\n{text}");
        }
        if std::env::var_os("REJOIN_WRITE_EXAMPLE").is_some() {
            std::fs::write(file("results.txt"), &rendered).unwrap();
        }
        assert_eq!(
            rendered,
            std::fs::read_to_string(file("results.txt")).unwrap()
        );
    }

    #[test]
    fn a_result_of_another_shape_is_left_to_its_json() {
        for (kind, result) in [
            ("watch", r#"{"value":1}"#),
            ("trace", r#"{"root":{"type":7}}"#),
            ("thread", "{}"),
            ("jvm", r#"{"jvmInfo":[]}"#),
            ("enhancer", r#"{"effect":3}"#),
            ("nosuch", "{}"),
        ] {
            let result = serde_json::from_str(result).unwrap();
            assert_eq!(text(kind, &result), None, "{kind}");
        }
    }

    #[test]
    fn a_trace_that_never_ends_is_cut() {
        let mut node = serde_json::json!({"type": "method"});
        for _ in 0..(DEPTH + 10) {
            node = serde_json::json!({"type": "method", "children": [node]});
        }
        let text = text("trace", &serde_json::json!({ "root": node })).unwrap();
        assert_eq!(text.lines().count(), DEPTH + 1);
    }
}
