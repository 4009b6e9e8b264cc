// What one writes by hand: messages on Fastify and `pg`, with a pool, prepared statements, checked
// input and serialisers made from schemas, as the documentation of both advises. DATABASE_URL and
// BENCH_TABLE say where the messages are.
import { randomUUID } from "node:crypto";
import Fastify from "fastify";
import pg from "pg";

const table = process.env.BENCH_TABLE;
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 32 });
// Numbers and times as the other server sends them, and not more work than that.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => new Date(text).toISOString());

const uuid = { type: "string", format: "uuid" };
const input = {
  conversation_id: uuid,
  sender_id: uuid,
  message_type: { type: "integer" },
  state: { type: "integer" },
  content: { type: "string", maxLength: 10000 },
};
const message = {
  type: "object",
  properties: {
    id: { type: "string" },
    ...input,
    created_at: { type: "string" },
    updated_at: { type: "string" },
    _rev: { type: "integer" },
  },
};
const columns = "id, conversation_id, sender_id, message_type, state, content, created_at, updated_at, _rev";
const app = Fastify({ logger: false });

app.get("/ready", () => "ready");

app.post("/messages", {
  schema: {
    body: { type: "object", properties: input, required: ["conversation_id", "sender_id"], additionalProperties: false },
    response: { 201: message },
  },
}, async (request, reply) => {
  const { conversation_id, sender_id, message_type = 0, state = 0, content = null } = request.body;
  const { rows } = await pool.query({
    name: "create",
    text: `INSERT INTO ${table} (${columns}) VALUES ($1, $2, $3, $4, $5, $6, date_trunc('milliseconds', now()),
      date_trunc('milliseconds', now()), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) RETURNING ${columns}`,
    values: [randomUUID(), conversation_id, sender_id, message_type, state, content],
  });
  return reply.code(201).send(rows[0]);
});

app.get("/messages/:id", {
  schema: { params: { type: "object", properties: { id: uuid } }, response: { 200: message } },
}, async (request, reply) => {
  const { rows } = await pool.query({
    name: "read",
    text: `SELECT ${columns} FROM ${table} WHERE id = $1`,
    values: [request.params.id],
  });
  return rows[0] ?? reply.code(404).send();
});

app.get("/messages", {
  schema: {
    querystring: { type: "object", properties: { conversation_id: uuid }, required: ["conversation_id"] },
    response: { 200: { type: "object", properties: { data: { type: "array", items: message } } } },
  },
}, async (request) => {
  const { rows } = await pool.query({
    name: "list",
    text: `SELECT ${columns} FROM ${table} WHERE conversation_id = $1 ORDER BY created_at DESC, id DESC LIMIT 20`,
    values: [request.query.conversation_id],
  });
  return { data: rows };
});

await app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
