// Finds the messages that an operation caused.
//
// Ids show for certain which message is the request and which are replies to it. Requests of a node to others between a
// client's request and its reply may be for that request or for another one at the same time: the protocol does not show
// which. All of them are included, as "sent meanwhile".

const CAUSED_MAX = 2000;

const sentBy = new Map();
const requests = new Map();
const replies = new Map();
const add = (map, key, m) => (map.get(key) ?? map.set(key, []).get(key)).push(m);
const linkKey = (from, to, id) => `${from} ${to} ${JSON.stringify(id)}`;
for (const m of bySending) {
  const [src, dest] = [messages.src[m], messages.dest[m]];
  add(sentBy, src, m);
  if (messages.in_reply_to[m] !== null) add(replies, linkKey(src, dest, messages.in_reply_to[m]), m);
  else if (messages.msg_id[m] !== null) add(requests, linkKey(src, dest, messages.msg_id[m]), m);
}

/** The replies to a request. */
function repliesTo(m) {
  if (messages.msg_id[m] === null || messages.in_reply_to[m] !== null) return [];
  const all = replies.get(linkKey(messages.dest[m], messages.src[m], messages.msg_id[m])) ?? [];
  return all.filter((reply) => messages.sent_us[reply] >= messages.sent_us[m]);
}

/** The requests that a reply answers. */
function requestsOf(m) {
  if (messages.in_reply_to[m] === null) return [];
  return requests.get(linkKey(messages.dest[m], messages.src[m], messages.in_reply_to[m])) ?? [];
}

/** The operation of which a message is the request or the reply, if there is one. */
function operationOf(m) {
  const request = operationByRequest.get(`${sourceOf(m)} ${messages.msg_id[m]}`);
  const reply = operationByRequest.get(`${destinationOf(m)} ${messages.in_reply_to[m]}`);
  return request ?? reply;
}

/** The messages that an operation caused: a map from each message to its role, in the order of sending. */
function causedBy(o) {
  const client = messages.names.indexOf(`c${operations.client[o]}`);
  const node = messages.names.indexOf(nodeNames[operations.node[o]]);
  const roles = new Map();
  const open = (requests.get(linkKey(client, node, operations.msg_id[o])) ?? []).map((m) => [m, completedAt(o)]);
  for (const [m] of open) roles.set(m, "the request");
  while (open.length > 0 && roles.size < CAUSED_MAX) {
    const [request, until_us] = open.pop();
    const answers = repliesTo(request);
    for (const reply of answers) roles.set(reply, `reply of ${sourceOf(reply)}`);
    if (isLost(request) || !isNode[messages.dest[request]]) continue;
    const end_us = answers.length > 0 ? messages.sent_us[answers[0]] : until_us;
    // Of two messages that were sent in one microsecond, numbers show which came first.
    const endId = answers.length > 0 ? messages.id[answers[0]] : Infinity;
    for (const m of sentWithin(messages.dest[request], endOf(request), end_us)) {
      if (messages.id[m] < messages.id[request] || messages.id[m] > endId) continue;
      if (roles.has(m) || messages.in_reply_to[m] !== null || isClient[messages.dest[m]]) continue;
      roles.set(m, `sent by ${sourceOf(m)} meanwhile`);
      open.push([m, end_us]);
    }
  }
  const inOrder = [...roles].sort(([a], [b]) => messages.sent_us[a] - messages.sent_us[b] || messages.id[a] - messages.id[b]);
  return new Map(inOrder);
}

/** The messages of one sender in a time span. */
function sentWithin(name, from_us, to_us) {
  const all = sentBy.get(name) ?? [];
  const first = lowerBound(all, from_us, (m) => messages.sent_us[m]);
  const within = [];
  for (let i = first; i < all.length && messages.sent_us[all[i]] <= to_us; i++) within.push(all[i]);
  return within;
}
