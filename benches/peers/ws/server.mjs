// Rooms on `ws`: what one client says in a room goes to all others there, as the documentation of
// `ws` broadcasts it.
import { createServer } from "node:http";
import { WebSocketServer, WebSocket } from "ws";

const rooms = new Map();
const http = createServer((_, response) => response.end("ready"));
const server = new WebSocketServer({ server: http, perMessageDeflate: false });

server.on("connection", (socket, request) => {
  const name = new URL(request.url, "http://localhost").searchParams.get("room");
  if (!rooms.has(name)) rooms.set(name, new Set());
  const room = rooms.get(name);
  room.add(socket);
  socket.on("close", () => room.delete(socket));
  socket.on("message", (data) => {
    for (const other of room) {
      if (other !== socket && other.readyState === WebSocket.OPEN) {
        other.send(data, { binary: false });
      }
    }
  });
});

http.listen(Number(process.argv[2]), "127.0.0.1");
