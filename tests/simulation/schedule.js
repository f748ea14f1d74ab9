// Whose turn it is. Every await of an engine on its store or on the network parks here, so the world decides
// in which order tabs go on, and where one of them dies.

import { AsyncLocalStorage } from "node:async_hooks";

/**
 * @typedef {{ alive: boolean, dies: number }} Mortal `dies`: at which call from now, 0 for never
 * @typedef {{ kind: string, tab: Mortal & Record<string, any>, trusted: boolean, heard: number }} Task
 */

/** @type {AsyncLocalStorage<Task>} */
const running = new AsyncLocalStorage();
const drained = () => new Promise((resolve) => setImmediate(resolve));

/** The task in which this code runs. */
export function current() {
  const task = running.getStore();
  if (!task) throw new Error("nobody is at work here");
  return task;
}

/** @param {import("./rng.js").Luck} luck @param {(what: string) => void} count */
export function createSchedule(luck, count) {
  /** @type {{ task: Task, act: () => any, resolve: (value: any) => void, reject: (fault: any) => void }[]} */
  let parked = [];
  /** @type {Set<Task>} */
  const tasks = new Set();

  /** Waits for a turn, then does what `act` does at once. @template T @param {() => T} act @returns {Promise<T>} */
  function park(act) {
    const task = current();
    return new Promise((resolve, reject) => {
      if (task.tab.alive) parked.push({ task, act, resolve, reject });
    });
  }

  /**
   * Starts something in a tab; `work` may end with a fault, or never where the tab dies.
   * @param {Mortal} tab @param {string} kind @param {(task: Task) => Promise<any>} work
   */
  function start(tab, kind, work) {
    /** @type {Task} */
    const task = { kind, tab, trusted: true, heard: -1 };
    tasks.add(task);
    running.run(task, () => work(task)).then(() => tasks.delete(task), (fault) => {
      tasks.delete(task);
      task.tab.failed(kind, fault);
    });
    return task;
  }

  /** One of those that wait goes on; false where nobody waits. */
  async function turn() {
    await drained();
    parked = parked.filter(({ task }) => task.tab.alive);
    for (const task of tasks) if (!task.tab.alive) tasks.delete(task);
    if (!parked.length) return false;
    const [next] = parked.splice(luck.below(parked.length), 1);
    const { tab } = next.task;
    const last = tab.dies > 0 && --tab.dies === 0;
    if (last) {
      count("kill");
      if (luck.chance(0.5)) {
        try {
          await next.act(); // it reached the disk or the city, and nobody was told
        } catch {
          // nobody was told of that either
        }
      }
      tab.alive = false;
      return true;
    }
    try {
      next.resolve(await next.act());
    } catch (fault) {
      next.reject(fault);
    }
    await drained();
    return true;
  }

  /** @param {number} most */
  async function turns(most) {
    for (let i = 0; i < most; i++) if (!(await turn())) return;
  }

  /** Until nobody waits. */
  async function rest() {
    for (let i = 0; await turn(); i++) if (i > 100_000) throw new Error("it never comes to rest");
  }

  /** Whether anybody else is at work on the phone of this tab. @param {any} tab */
  const others = (tab) => [...tasks].some((task) => task.tab.alive && task.tab !== tab && task.tab.phone === tab.phone);

  return { park, start, turns, rest, others };
}

/** @typedef {ReturnType<typeof createSchedule>} Schedule */
