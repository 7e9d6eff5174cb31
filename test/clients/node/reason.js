// reasonOf an error: the broker's code and text, which amqplib puts into a sentence.
function reasonOf(err) {
  if (err.reason) return err.reason;
  const said = /(\d+) \([\w-]+\) with message "(.*)"$/s.exec(err.message);
  return said ? { code: Number(said[1]), text: said[2] } : { text: err.message };
}

module.exports = { reasonOf };
