/** A queue in which groups take turns, so that one with many members delays none of the others. */
export interface Rotation<T> {
  add(group: string, member: T): void;
  /** The next member of the next group that `mayGo`; undefined when there is none. */
  take(mayGo: (group: string) => boolean): T | undefined;
}

export function rotation<T>(): Rotation<T> {
  // A Map keeps the order in which groups came; a group that had its turn is put back behind the others.
  const groups = new Map<string, T[]>();
  return {
    add(group, member) {
      const members = groups.get(group);
      if (members) members.push(member);
      else groups.set(group, [member]);
    },
    take(mayGo) {
      for (const [group, members] of groups) {
        if (!mayGo(group)) continue;
        const member = members.shift();
        groups.delete(group);
        if (members.length > 0) groups.set(group, members);
        return member;
      }
      return undefined;
    },
  };
}
