// Limits of the console.

/** Events that are asked for when a session is opened, from its end; earlier ones when wanted. */
export const OPENED_EVENTS = 20_000;

/** Characters of output, and events, that are held; more than that, and the oldest leave. */
export const HELD_CHARACTERS = 24 * 1024 * 1024;
export const HELD_EVENTS = 250_000;

/** Lines of output that are shown; more than that, and the oldest leave. */
export const SHOWN_LINES = 200_000;

/** Jobs and notes that are shown. */
export const SHOWN_BLOCKS = 2_000;

/** Characters of one line; what is longer goes on in the next. */
export const LONGEST_LINE = 4_000;

/** Kinds of styled text that are remembered. */
export const KNOWN_STYLES = 4_096;

/** Statements that the arrow keys go back to. */
export const REMEMBERED_STATEMENTS = 500;

/** Commands that wait until the running one has ended. */
export const QUEUED_STATEMENTS = 20;

/** Sessions on one page of the list, and on the longest. */
export const LISTED_SESSIONS = 50;
export const MOST_LISTED_SESSIONS = 1_000;

/** Requests for one list of sessions, of which each looks at a part of them. */
export const MOST_LIST_REQUESTS = 8;

/** Sessions that each list of the empty page shows. */
export const WELCOME_SESSIONS = 6;

/** Milliseconds without a key after which a search begins. */
export const SEARCH_PAUSE = 200;

/** Lines that one request for a search finds, and lines that a search finds at most. */
export const FOUND_AT_ONCE = 200;
export const MOST_FOUND = 10_000;

/** Milliseconds between two requests for the list of sessions while the page is visible. */
export const LIST_PACE = 2_000;

/** Milliseconds that a stream may be silent: the server says something every 15 seconds. */
export const SILENCE = 40_000;

/** Milliseconds after which a hidden page closes its connection. */
export const UNSEEN = 10_000;

/** Milliseconds after which a hidden page asks again whether the command it waits for has ended. */
export const GLANCE_PACE = 10_000;

/** Milliseconds that a command takes at least for a notification of its end to somebody who looks elsewhere. */
export const LONG_JOB = 60_000;

/** Milliseconds until a lost connection is tried again: the first time, and at most. */
export const FIRST_RETRY = 1_000;
export const LONGEST_RETRY = 10_000;

/** Milliseconds of work after which others get their turn: less than one frame. */
export const SLICE = 8;

/** Milliseconds without an event that a replay shows in full. */
export const SHOWN_IDLENESS = 1_500;

/** Milliseconds that a replay shows of a longer pause, each time it is 2.7 times as long. */
export const LONGER_PAUSE = 300;

/** Rows that a terminal page can scroll back. */
export const SCROLLBACK = 10_000;

/** Bytes typed into a terminal that wait to be sent, and that one request takes. */
export const WAITING_INPUT = 1024 * 1024;
export const SENT_INPUT = 16 * 1024;

/** Milliseconds for which input is tried again while the program doesn't read. */
export const INPUT_PATIENCE = 10_000;

/** Events after which a page that was away takes the screen and not the events it missed. */
export const MISSED_EVENTS = 2_000;

/** Milliseconds after which a program no longer waits for the terminal's answer to a question. */
export const ANSWER_TIME = 3_000;

/** Characters of a title that a program sets. */
export const LONGEST_TITLE = 80;

/** Rows above its screen that an emulator keeps; then they become final lines. */
export const EMULATED_ROWS = 200;

/** Characters that an emulator takes at once. Each of them scrolls one row at most. */
export const EMULATED_PART = 1_000;

/** Milliseconds after which a running command is shown with a terminal to type into. */
export const SHORT_JOB = 150;

/** How often one sequence may repeat something: more than a terminal has rows or columns. */
export const MOST_REPETITIONS = 1_000;

/** The pause between two requests for the viewers of a session, in milliseconds. */
export const VIEWERS_PAUSE = 4_000;
