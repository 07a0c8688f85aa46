// A terminal on the page: xterm.js with the page's colours, links that open safely, and a size.
//
// The size is the program's and the same for all viewers. Who types fits it to the window; for
// everybody else the letters are made smaller until all of it is visible.

import { ANSWER_TIME, SCROLLBACK } from "./limits.js";
import { now } from "./api.js";
import { boundRepetition } from "./repetition.js";
import { onTheme } from "./theme.js";
import { FitAddon } from "./vendor/addon-fit.mjs";
import { Unicode11Addon } from "./vendor/addon-unicode11.mjs";
import { WebLinksAddon } from "./vendor/addon-web-links.mjs";
import { Terminal } from "./vendor/xterm.mjs";

/** One terminal in an element. `on` has the callbacks `typed` (bytes), `title` and `drawn`. */
export class TerminalView {
  terminal;
  /** Whether this window types: then the terminal can have the size of the window. */
  isMine = false;
  #element;
  #on;
  #fit = new FitAddon();
  #isFresh = false;
  /** xterm.js would leave out bytes that are not UTF-8; this makes them U+FFFD, as the server does. */
  #decoder = new TextDecoder();

  constructor(element, on) {
    this.#element = element;
    this.#on = on;
    this.terminal = new Terminal({
      // For the widths of Unicode 11, which programs reckon with.
      allowProposedApi: true,
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
      fontSize: fontSize(),
      scrollback: SCROLLBACK,
      cursorBlink: true,
      rightClickSelectsWord: false,
      macOptionClickForcesSelection: true,
      logLevel: "off",
      theme: theme(element),
      linkHandler: { activate: (_, target) => openLink(target), hover: (_, target) => this.#showTarget(target), leave: () => this.#showTarget("") },
    });
    this.terminal.loadAddon(this.#fit);
    this.terminal.loadAddon(new Unicode11Addon());
    this.terminal.unicode.activeVersion = "11";
    this.terminal.loadAddon(new WebLinksAddon((_, target) => openLink(target)));
    boundRepetition(this.terminal);
    this.terminal.open(element);
    this.terminal.onData((text) => this.#typed(text));
    this.terminal.onBinary((text) => this.#on.typed(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
    this.terminal.onTitleChange((title) => this.#on.title(title));
    this.terminal.onWriteParsed(() => this.#on.drawn());
    this.terminal.attachCustomKeyEventHandler((key) => this.#key(key));
    onTheme(() => (this.terminal.options.theme = theme(element)));
  }

  /** Shows a screen instead of what is there. */
  show({ columns, rows, content }) {
    this.terminal.reset();
    this.#decoder = new TextDecoder();
    this.setSize({ columns, rows });
    this.#setFresh(false);
    this.terminal.write(content);
  }

  /** Writes output that the program gave at an instant of the server's clock. */
  write(bytes, at) {
    this.#setFresh(now() - at < ANSWER_TIME);
    this.terminal.write(this.#decoder.decode(bytes, { stream: true }));
  }

  /** Sets the size after what has been written so far. */
  setSize({ columns, rows }) {
    this.terminal.write("", () => {
      this.terminal.resize(columns, rows);
      this.fit();
      this.#on.drawn();
    });
  }

  /** The size that fills the element, or null while that isn't known. */
  get wanted() {
    const room = this.#fit.proposeDimensions();
    if (!room || !(room.cols > 0 && room.rows > 0)) return null;
    return { columns: room.cols, rows: room.rows };
  }

  /** Gives rows a height in pixels, or without one as little as the letters need. */
  setRowHeight(height) {
    this.terminal.options.lineHeight = 1;
    const shown = this.#screen?.getBoundingClientRect().height ?? 0;
    if (!height || shown === 0) return;
    // xterm.js rounds down to whole pixels, and takes no less than the letters need: those of a watcher,
    // whose window is larger than the terminal, may be higher.
    this.terminal.options.lineHeight = Math.max(1, (height + 0.3) / (shown / this.terminal.rows));
  }

  /** Chooses the size of the letters. */
  fit() {
    if (this.isMine) return this.#setFont(fontSize());
    const { clientWidth: width, clientHeight: height } = this.#element;
    const shown = this.#screen?.getBoundingClientRect();
    if (!shown?.width || width === 0) return;
    const size = this.terminal.options.fontSize;
    const fitting = Math.min(((width - SCROLLBAR) / shown.width) * size, (height / shown.height) * size);
    this.#setFont(Math.max(SMALLEST_FONT, Math.min(LARGEST_FONT, Math.floor(fitting * 4) / 4)));
    // The height of a row is a number of whole pixels, so the letters may still be too large.
    for (let step = 0; step < 8; step += 1) {
      const { width: drawn, height: high } = this.#screen.getBoundingClientRect();
      const less = this.terminal.options.fontSize - 0.25;
      if ((drawn <= width - SCROLLBAR && high <= height) || less < SMALLEST_FONT) return;
      this.#setFont(less);
    }
  }

  /** The height in pixels of the rows that have something in them, and of all rows. */
  get heights() {
    const { rows } = this.terminal;
    const all = this.#screen?.getBoundingClientRect().height ?? 0;
    return { used: (all / rows) * this.#usedRows(), all };
  }

  /** Types text, as if it came from the keyboard. */
  input(text) {
    this.terminal.input(text);
  }

  get #screen() {
    return this.#element.querySelector(".xterm-screen");
  }

  #usedRows() {
    const { rows, buffer } = this.terminal;
    const { active } = buffer;
    if (active.type === "alternate" || active.baseY > 0) return rows;
    let used = rows;
    while (used > active.cursorY + 1 && active.getLine(used - 1).translateToString(true) === "") used -= 1;
    return used;
  }

  #setFont(size) {
    if (this.terminal.options.fontSize !== size) this.terminal.options.fontSize = size;
  }

  /** What follows is answered by the emulator only if the program still waits for an answer. */
  #setFresh(isFresh) {
    if (isFresh !== this.#wasFresh) this.terminal.write("", () => (this.#isFresh = isFresh));
    this.#wasFresh = isFresh;
  }

  #wasFresh = false;

  #typed(text) {
    // Of all windows only one may answer what a program asks its terminal.
    if (ANSWER.test(text) && !(this.isMine && this.#isFresh)) return;
    this.#on.typed(new TextEncoder().encode(text));
  }

  /** False for a key that the terminal leaves to the browser or that has been dealt with. */
  #key(key) {
    if (key.type !== "keydown") return true;
    const isCopy = key.key.toLowerCase() === "c" && key.ctrlKey && !key.altKey;
    if (isCopy && (key.shiftKey || this.terminal.hasSelection())) {
      key.preventDefault();
      this.#on.copy(this.terminal.getSelection());
      this.terminal.clearSelection();
      return false;
    }
    // Left to the browser, which pastes.
    return !(key.key.toLowerCase() === "v" && key.ctrlKey && key.shiftKey) && !(key.key === "Insert" && key.shiftKey);
  }

  /** A link may say something other than where it leads, so its target is shown. */
  #showTarget(target) {
    this.#element.title = target;
  }
}

function openLink(target) {
  let address;
  try {
    address = new URL(target);
  } catch {
    return;
  }
  if (!["http:", "https:"].includes(address.protocol)) return;
  window.open(address.href, "_blank", "noopener,noreferrer");
}

/** The colours of the page as xterm.js takes them. */
function theme(element) {
  const probe = document.createElement("i");
  element.append(probe);
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const ansi = Object.fromEntries(ANSI.map((name, number) => [name, colour(`c${number}`)]));
  const [background, foreground, accent] = ["ground", "text", "accent"].map(colour);
  probe.remove();
  const selectionBackground = accent.replace("rgb(", "rgba(").replace(")", ", 0.3)");
  return { ...ansi, background, foreground, cursor: accent, cursorAccent: background, selectionBackground };
}

const ANSI = [
  ...["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"],
  ...["brightBlack", "brightRed", "brightGreen", "brightYellow"],
  ...["brightBlue", "brightMagenta", "brightCyan", "brightWhite"],
];

/** What a terminal itself answers: its kind, its state, the cursor's place, colours. */
const ANSWER = /^\x1b(?:\[[?>=]?[\d;]*(?:c|n|R|\$y|t)|\]|P)/;

/** As the console has it, which may have this page in a frame; keep equal to theme.css. */
function fontSize() {
  return parent.matchMedia("(max-width: 720px)").matches ? 12 : 13;
}

const SMALLEST_FONT = 3;
const LARGEST_FONT = 18;

/** Pixels that xterm.js keeps free at the right for its scrollbar. */
const SCROLLBAR = 14;
