// The forward protocol with fluent-logger and @fluent-org/logger.
//
//   forward.js send PORT KEY    events in every mode, each acknowledged, through the handshake
//   forward.js serve KEY        prints its port, then each event as a line of JSON; ends with its standard input
const legacy = require("fluent-logger");
const { FluentClient, FluentServer } = require("@fluent-org/logger");

async function send(port, key) {
  for (const eventMode of ["Message", "PackedForward", "CompressedPackedForward"]) {
    const sender = legacy.createFluentSender("js", {
      host: "127.0.0.1", port, timeout: 10, eventMode, flushInterval: 50, requireAckResponse: true, ackResponseTimeout: 10000,
      security: { clientHostname: "client", sharedKey: key },
    });
    await new Promise((done, fail) => {
      sender.on("error", fail);
      let left = 20;
      for (let n = 0; n < 20; n++) {
        sender.emit("legacy." + eventMode, { n, text: "é" }, (e) => (e ? fail(e) : --left || done()));
      }
    });
    sender.end();
  }
  for (const eventMode of ["Message", "Forward", "PackedForward", "CompressedPackedForward"]) {
    const client = new FluentClient("js", {
      eventMode, ack: { ackTimeout: 10000 }, socket: { host: "127.0.0.1", port, timeout: 10000 },
      security: { clientHostname: "client", sharedKey: key },
    });
    await Promise.all(Array.from({ length: 20 }, (_, n) => client.emit("new." + eventMode, { n })));
    await client.disconnect();
  }
}

async function serve(key) {
  const server = new FluentServer({ listenOptions: { port: 0, host: "127.0.0.1" }, security: { serverHostname: "srv", sharedKey: key, authorize: false, userDict: {} } });
  server.on("entry", (tag, time, record) => console.log(JSON.stringify([tag, record])));
  await server.listen();
  console.log(server.port);
  process.stdin.on("end", () => process.exit(0)).resume();
}

const [what, ...args] = process.argv.slice(2);
const done = what === "send" ? send(Number(args[0]), args[1]) : serve(args[0]);
done.catch((e) => {
  console.error(e);
  process.exit(1);
});
