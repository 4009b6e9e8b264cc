// Rooms on `socket.io`: WebSocket only, no compression, one `emit` for a whole room.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer((_, response) => response.end("ready"));
const server = new Server(http, {
  transports: ["websocket"],
  perMessageDeflate: false,
  httpCompression: false,
});

server.on("connection", (socket) => {
  const { room } = socket.handshake.query;
  socket.join(room);
  socket.on("m", (data) => socket.to(room).emit("m", data));
});

http.listen(Number(process.argv[2]), "127.0.0.1");
