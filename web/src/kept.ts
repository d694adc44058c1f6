/** What this browser remembers between visits: a choice, never a token. Browsers that keep nothing only forget it. */
export const kept = {
  read(name: string): string | null {
    try {
      return localStorage.getItem(`ollamanet.${name}`);
    } catch {
      return null;
    }
  },
  write(name: string, value: string | null): void {
    try {
      if (value === null) localStorage.removeItem(`ollamanet.${name}`);
      else localStorage.setItem(`ollamanet.${name}`, value);
    } catch {
      // it is asked for again next time
    }
  },
};
