/**
 * Single keys as commands: never while somebody types, never with Ctrl or Alt, and with an off switch.
 */

const SWITCH = "cityline.keys";
const SEQUENCE_MS = 1200; // "g" waits this long for its "v"

/**
 * Whether the browser's owner wants the keys; they do until they say otherwise.
 */
export function areOn() {
  try {
    return localStorage.getItem(SWITCH) !== "off";
  } catch {
    return true; // storage is blocked: the switch holds until the page is left
  }
}

/**
 * Remembers the off switch.
 * @param {boolean} on
 */
export function turn(on) {
  try {
    localStorage.setItem(SWITCH, on ? "on" : "off");
  } catch {
    // See areOn().
  }
}

/**
 * Finds the command for a key press. Keeps the first key of a sequence such as "g v" in mind.
 * @param {Record<string, unknown>} commands by key ("j", "?") or sequence ("g v")
 * @returns {(key: string, time: number) => string | undefined} the name of the command that is meant
 */
export function reader(commands) {
  let first = "";
  let since = 0;
  return (key, time) => {
    const pair = first && time - since < SEQUENCE_MS ? `${first} ${key}` : "";
    first = "";
    if (pair && pair in commands) return pair;
    if (Object.keys(commands).some((name) => name.startsWith(`${key} `))) {
      first = key;
      since = time;
      return undefined;
    }
    return key in commands ? key : undefined;
  };
}

/**
 * Whether a key press belongs to the element it happened in.
 * @param {EventTarget | null} target
 */
export function isTyping(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.matches("textarea, select")) return true;
  return target instanceof HTMLInputElement && !["checkbox", "radio", "button", "submit", "file"].includes(target.type);
}

/**
 * Runs the commands as their keys are pressed. Escape works everywhere and always.
 * @param {Record<string, (event: KeyboardEvent) => void>} commands
 */
export function listen(commands) {
  const read = reader(commands);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key !== "Escape" && (isTyping(event.target) || !areOn())) return;
    const name = read(event.key, event.timeStamp);
    const command = name === undefined ? undefined : commands[name];
    if (!command) return;
    event.preventDefault();
    command(event);
  });
}
