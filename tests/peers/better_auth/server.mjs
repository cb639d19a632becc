// better-auth as its documentation sets it up, on SQLite (WAL), in as many processes as the machine has cores.
//
//   node server.mjs <port> <database file> <secret>
//
// The only deviations: no rate limit, as Gatepost runs without limits beside it, and no origin check of a browser.
import cluster from "node:cluster";
import http from "node:http";
import os from "node:os";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import Database from "better-sqlite3";

const [port, file, secret] = process.argv.slice(2);
const database = new Database(file);
database.pragma("journal_mode = WAL");
database.pragma("busy_timeout = 5000");
const options = {
  baseURL: `http://127.0.0.1:${port}`,
  secret,
  database,
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { level: "error" },
};
const auth = betterAuth(options);

if (cluster.isPrimary) {
  const { runMigrations } = await getMigrations(options);
  await runMigrations();
  for (let core = 0; core < os.availableParallelism(); core += 1) cluster.fork();
  process.on("SIGTERM", () => process.exit(0));
} else {
  http.createServer(toNodeHandler(auth)).listen(Number(port), "127.0.0.1");
  process.on("disconnect", () => process.exit(0));
}
