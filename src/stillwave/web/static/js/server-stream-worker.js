/** The worker of a live stream of the server; messages as in `engine/worker.js`. */

import { LiveLink } from "../engine/live-link.js";

/** Time for a way to the server and back, beyond the delay of the network. */
const ROUND_TRIP_SECONDS = 0.04;

let link = null;

function open({ url, rate, model, keepClean, port, ring, record }) {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const send = async (block) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(block);
    return new Float32Array(0);
  };
  const greeting = { format: "f32le", rate, channels: 1, model, keep_clean: keepClean };
  socket.onopen = () => socket.send(JSON.stringify(greeting));
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) {
      link?.take(new Float32Array(data));
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "error") {
      fail(message.problem.detail ?? message.problem.title);
    } else if (message.type === "ready") {
      link = new LiveLink(port, rate, send, post, ring);
      if (record) link.record(true);
      post({ type: "ready", delaySamples: message.delay_samples + Math.round(ROUND_TRIP_SECONDS * rate) });
    }
  };
  socket.onclose = ({ reason, code }) => fail(reason || `the live connection ended (code ${code})`);
}

function fail(message) {
  post({ type: "error", message });
}

function post(message) {
  postMessage(message);
}

self.onmessage = ({ data }) => {
  if (data.type === "open") open(data);
  if (data.type === "record") link.record(data.on);
};
