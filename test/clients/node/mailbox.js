// How long is waited for what must come.
const PATIENCE = 20_000;

// Mailbox keeps what comes until it is taken.
class Mailbox {
  constructor() {
    this.items = [];
    this.waiting = [];
  }

  put(item) {
    this.items.push(item);
    for (const look of [...this.waiting]) look();
  }

  // take the first that matches, once it has come.
  take(matches = () => true) {
    return new Promise((resolve, reject) => {
      let timer;
      const look = () => {
        const found = this.items.findIndex(matches);
        if (found < 0) return;
        clearTimeout(timer);
        this.waiting = this.waiting.filter((other) => other !== look);
        resolve(this.items.splice(found, 1)[0]);
      };
      timer = setTimeout(() => {
        this.waiting = this.waiting.filter((other) => other !== look);
        reject(new Error('waited in vain'));
      }, PATIENCE);
      this.waiting.push(look);
      look();
    });
  }
}

module.exports = { Mailbox, PATIENCE };
