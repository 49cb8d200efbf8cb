// State that others watch: a record whose `set` tells those who asked for one of the changed keys, once, after the change.

type Listener = () => void;

export class Store<S extends object> {
  readonly #state: S;
  readonly #watched = new Map<keyof S, Set<Listener>>();

  constructor(start: S) {
    this.#state = start;
  }

  get<K extends keyof S>(key: K): S[K] {
    return this.#state[key];
  }

  /** Change several keys as one step. A key set to the value it has tells nobody. */
  set(change: Partial<S>): void {
    const told = new Set<Listener>();
    for (const key of Object.keys(change) as (keyof S)[]) {
      if (Object.is(this.#state[key], change[key])) continue;
      this.#state[key] = change[key] as S[keyof S];
      for (const listener of this.#watched.get(key) ?? []) told.add(listener);
    }
    for (const listener of told) listener();
  }

  /** Call after any of the keys changed; returns what stops it. */
  watch(keys: (keyof S)[], listener: Listener): () => void {
    for (const key of keys) {
      if (!this.#watched.has(key)) this.#watched.set(key, new Set());
      this.#watched.get(key)!.add(listener);
    }
    return () => keys.forEach((key) => this.#watched.get(key)?.delete(listener));
  }
}
