// Renders results of Arthas as Arthas does in its own console. The command line does the same in
// `frontends/cli/src/offline/arthas.rs`; both are tested with `tests/arthas`.

/** The text of a result; null for a type or a shape that is not known here. */
export function arthasText(result) {
  const render = Object.hasOwn(RENDERERS, result.type) ? RENDERERS[result.type] : null;
  try {
    return render ? `${render(result).replace(/\n+$/, "")}\n` : null;
  } catch {
    return null;
  }
}

const RENDERERS = {
  watch: (it) =>
    `method=${text(it.className)}.${text(it.methodName)} location=${text(it.accessPoint)}\n` +
    `ts=${text(it.ts)}; [cost=${it.cost}ms] result=${text(it.value)}`,
  trace: (it) => traceNode(it.root, 0, true),
  stack: (it) => [threadLine(it, it.ts), ...it.stackTrace.map(calledFrom)].join("\n"),
  tt: timeTunnel,
  thread: threads,
  monitor: (it) => table(it.monitorDataList.map(monitored), MONITOR),
  dashboard,
  memory: (it) => memory(it.memoryInfo),
  jvm: (it) => sections(it.jvmInfo),
  enhancer: (it) => affect(it.effect) + (it.message ? `\n${it.message}` : ""),
  reset: (it) => affect(it.affect),
  row_affect: (it) => `Affect(row-cnt:${it.rowCount})`,
  sc: (it) => (it.classInfo ? table(Object.entries(it.classInfo)) : lines(it.classNames)),
  sm: (it) => (it.detail ? table(Object.entries(it.methodInfo)) : method(it.methodInfo)),
  classloader: classLoaders,
  help,
  history: (it) => it.history.map((command, at) => `${String(at + 1).padStart(5)}  ${plain(command)}`).join("\n"),
  sysprop: (it) => pairs(it.props, "="),
  sysenv: (it) => pairs(it.env, "="),
  vmoption: (it) => records(it.vmOptions, ["name", "value", "origin", "writeable"]),
  options: (it) => records(it.options, ["name", "value", "type", "summary"]),
  mbean: (it) => lines(it.mbeanNames),
  session: (it) => table(Object.entries(it).filter(([name]) => !OURS.includes(name))),
  jad: (it) => text(it.source),
  echo: (it) => text(it.content),
  cat: (it) => text(it.content),
  base64: (it) => text(it.content),
  profiler: (it) => text(it.executeResult),
  ognl: (it) => text(it.value),
  vmtool: (it) => text(it.value),
  getstatic: (it) => `field: ${text(it.fieldName)}\n${text(it.field)}`,
  version: (it) => text(it.version),
  pwd: (it) => text(it.workingDir),
  message: (it) => text(it.message),
  upstream_gap: (it) => text(it.message),
};

/** Members that Rejoin adds. */
const OURS = ["type", "jobId", "upstreamJobId"];

/** Deeper calls than this are not shown. */
const DEPTH = 100;

function traceNode(node, depth, isLast) {
  const branch = `${"    ".repeat(depth)}${isLast ? "`" : "+"}---`;
  const line =
    node.type === "thread"
      ? threadLine(node, node.timestamp)
      : node.type === "throw"
        ? `throw:${plain(node.exception)} #${node.lineNumber ?? 0} [${plain(node.message)}]`
        : callLine(node);
  const children = depth < DEPTH ? (node.children ?? []) : [];
  const below = children.map((child, at) => traceNode(child, depth + 1, at + 1 === children.length));
  return [branch + line, ...below].join("\n");
}

function callLine(node) {
  const millis = (nanoseconds) => (nanoseconds ?? 0) / 1e6;
  const isOne = (node.times ?? 1) <= 1;
  const cost = isOne
    ? `[${millis(node.cost)}ms]`
    : `[min=${millis(node.minCost)}ms,max=${millis(node.maxCost)}ms,total=${millis(node.totalCost)}ms,count=${node.times}]`;
  const line = node.lineNumber > 0 ? ` #${node.lineNumber}` : "";
  const mark = node.mark ? ` [${node.mark}]` : "";
  return `${cost} ${plain(node.className)}:${plain(node.methodName)}()${line}${mark}`;
}

function threadLine(it, time) {
  return (
    `ts=${plain(time)};thread_name=${plain(it.threadName)};id=${plain(it.threadId)};` +
    `is_daemon=${plain(it.daemon)};priority=${plain(it.priority)};TCCL=${plain(it.classloader)}`
  );
}

function calledFrom(frame, depth) {
  if (depth === 0) return `    @${plain(frame.className)}.${plain(frame.methodName)}()`;
  return `        at ${stackFrame(frame)}`;
}

function stackFrame({ className, methodName, fileName, lineNumber = 0 }) {
  const source = fileName === undefined ? "Unknown Source" : lineNumber > 0 ? `${fileName}:${lineNumber}` : fileName;
  return `${plain(className)}.${plain(methodName)}(${lineNumber === -2 ? "Native Method" : source})`;
}

function timeTunnel({ timeFragment: one, timeFragmentList, first }) {
  if (!one) {
    const rows = timeFragmentList.map((it) => FRAGMENT.map((name) => plain(it[name])));
    // A fragment comes as it is recorded: only the first has a title.
    return table(rows, first === false ? null : FRAGMENTS);
  }
  const rows = FRAGMENT_ROWS.map(([title, name]) => [title, plain(one[name])]);
  (one.params ?? []).forEach((it, at) => rows.push([`PARAMETERS[${at}]`, plain(it.object)]));
  rows.push(one.throw === true ? ["THROW-EXCEPTION", plain(one.throwExp)] : ["RETURN-OBJ", plain(one.returnObj)]);
  return table(rows);
}

const FRAGMENTS = ["INDEX", "TIMESTAMP", "COST(ms)", "IS-RET", "IS-EXP", "OBJECT", "CLASS", "METHOD"];
const FRAGMENT = ["index", "timestamp", "cost", "return", "throw", "object", "className", "methodName"];
const FRAGMENT_ROWS = [
  ["INDEX", "index"],
  ["GMT-CREATE", "timestamp"],
  ["COST(ms)", "cost"],
  ["OBJECT", "object"],
  ["CLASS", "className"],
  ["METHOD", "methodName"],
  ["IS-RETURN", "return"],
  ["IS-EXCEPTION", "throw"],
];

function threads(it) {
  if (it.threadInfo) return threadDump(it.threadInfo);
  if (it.busyThreads) return it.busyThreads.map(threadDump).join("\n\n");
  const counts = Object.entries(it.threadStateCount).sort(([one], [other]) => (one < other ? -1 : 1));
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const states = counts.map(([state, count]) => `, ${state}: ${count}`).join("");
  return `Threads Total: ${total}${states}\n${threadTable(it.threadStats)}`;
}

function threadDump(it) {
  const cpu =
    it.cpu === undefined ? "" : ` cpuUsage=${it.cpu}% deltaTime=${plain(it.deltaTime)}ms time=${plain(it.time)}ms`;
  const head = `"${plain(it.name ?? it.threadName)}" Id=${plain(it.id ?? it.threadId)}${cpu} ${plain(it.state ?? it.threadState)}`;
  return [head, ...(it.stackTrace ?? []).map((frame) => `    at ${stackFrame(frame)}`)].join("\n");
}

function threadTable(threads) {
  return table(threads.map((it) => THREAD.map((name) => (name === "cpu" ? decimal(it.cpu) : plain(it[name])))), THREADS);
}

const THREADS = ["ID", "NAME", "GROUP", "PRIORITY", "STATE", "%CPU", "DELTA(ms)", "TIME(ms)", "INTERRUPTED", "DAEMON"];
const THREAD = ["id", "name", "group", "priority", "state", "cpu", "deltaTime", "time", "interrupted", "daemon"];

/** A number that has a fraction in JSON, also where that is zero. */
function decimal(number) {
  return Number.isInteger(number) ? number.toFixed(1) : plain(number);
}

function monitored(it) {
  const { total = 0, failed = 0, cost = 0 } = it;
  const average = total > 0 ? cost / total : 0;
  const rate = total > 0 ? (failed / total) * 100 : 0;
  const names = ["timestamp", "className", "methodName", "total", "success", "failed"];
  return [...names.map((name) => plain(it[name])), average.toFixed(2), `${rate.toFixed(2)}%`];
}

const MONITOR = ["TIMESTAMP", "CLASS", "METHOD", "TOTAL", "SUCCESS", "FAIL", "AVG-RT(ms)", "FAIL-RATE"];

function dashboard({ threads, memoryInfo, gcInfos, runtimeInfo }) {
  const parts = [threadTable(threads), memory(memoryInfo)];
  if (gcInfos) parts.push(records(gcInfos, ["name", "collectionCount", "collectionTime"]));
  if (runtimeInfo) parts.push(pairs(runtimeInfo, "  "));
  return parts.map((part) => part.trimEnd()).join("\n\n");
}

function memory(kinds) {
  const pools = inOrder(kinds).flatMap(([, pools]) => (Array.isArray(pools) ? pools : []));
  const rows = pools.map(({ name, used = 0, total = 0, max = 0 }) => {
    const limit = max > 0 ? max : total;
    const usage = limit > 0 ? (used / limit) * 100 : 0;
    return [plain(name), size(used), size(total), max > 0 ? size(max) : "-1", `${usage.toFixed(2)}%`];
  });
  return table(rows, ["Memory", "used", "total", "max", "usage"]);
}

function size(bytes) {
  if (bytes < 1024) return `${bytes}B`;
  return bytes < 1024 * 1024 ? `${Math.round(bytes / 1024)}K` : `${Math.round(bytes / 1024 / 1024)}M`;
}

function sections(all) {
  const sections = inOrder(all).map(([title, values]) => {
    const rows = values.map((row) => [`  ${plain(row.name)}`, plain(row.value)]);
    return `${title}\n${table(rows)}`;
  });
  return sections.join("\n");
}

function affect({ classCount, methodCount, cost, listenerId }) {
  return `Affect(class count: ${classCount} , method count: ${methodCount}) cost in ${cost} ms, listenerId: ${listenerId}`;
}

function method({ declaringClass, methodName, descriptor }) {
  return `${text(declaringClass)} ${text(methodName)}${text(descriptor)}`;
}

function classLoaders({ classLoaders, classLoaderStats }) {
  if (classLoaders) return records(classLoaders, ["name", "loadedCount", "hash", "parent"]);
  const rows = inOrder(classLoaderStats).map(([name, it]) => [name, plain(it.numberOfInstance), plain(it.loadedCount)]);
  return table(rows, ["name", "numberOfInstances", "loadedCountTotal"]);
}

function help({ commands, detailCommand: command }) {
  if (commands) return table(commands.map((it) => [plain(it.name), plain(it.summary)]));
  const parts = [`USAGE: ${plain(command.usage)}\n\n${plain(command.summary)}\n`];
  if (command.description) parts.push(`\n${command.description}\n`);
  const options = (command.options ?? []).map(({ shortName, longName, description }) => {
    const names = [shortName && `-${shortName}`, longName && `--${longName}`].filter(Boolean);
    return [`  ${names.join(", ")}`, plain(description)];
  });
  if (options.length > 0) parts.push(`\nOPTIONS:\n${table(options)}`);
  return parts.join("");
}

/** The members in the order of their names, as the server's JSON has them. */
function inOrder(object) {
  if (object === null || typeof object !== "object") throw new TypeError("not an object");
  return Object.entries(object).sort(([one], [other]) => (one < other ? -1 : 1));
}

function pairs(object, separator) {
  return inOrder(object).map(([name, value]) => `${name}${separator}${plain(value)}`).join("\n");
}

function lines(values) {
  return values.map(plain).join("\n");
}

/** A table of objects, with the names of members as titles. */
function records(objects, names) {
  return table(objects.map((it) => names.map((name) => plain(it[name]))), names);
}

/** Columns as wide as their widest cell; further lines of a cell are indented to its column. */
function table(rows, title = null) {
  const all = (title ? [title, ...rows] : rows).map((row) => row.map(plain));
  const count = Math.max(0, ...all.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(0, ...all.flatMap((row) => (row[column] ?? "").split("\n")).map((line) => [...line].length)),
  );
  const written = all.map((row) => {
    let line = "";
    let column = 0;
    row.forEach((cell, at) => {
      const last = [...(cell.split("\n").pop() ?? "")].length;
      line += cell.replaceAll("\n", `\n${" ".repeat(column)}`) + " ".repeat(widths[at] - last + 2);
      column += widths[at] + 2;
    });
    return `${line.trimEnd()}\n`;
  });
  return written.join("");
}

/** A text that has to be there. */
function text(value) {
  if (typeof value !== "string") throw new TypeError("not a text");
  return value;
}

/** A value in a cell: texts without quotes, lists with commas. */
function plain(value) {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.map(plain).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
