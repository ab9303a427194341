// Finds the messages that an operation caused.
//
// Ids show for certain which message is the request and which are replies to it. Requests of a node to others between a
// client's request and its reply may be for that request or for another one at the same time: the protocol does not show
// which. All of them are included, as "sent meanwhile".
//
// A node may also reply first and send to others afterwards. So what it sends within AFTER_US of its reply is included, up
// to its next reply to a client. The same holds for nodes that receive what it sends, but only within AFTER_US of the
// operation's completion: later, what they send is lost among what other operations cause.
//
// What the node sends the client before the operation's completion is included even if its ids show that it is no
// reply: such a message may be why there was none.

const CAUSED_MAX = 2000;
const AFTER_US = 10_000;

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
  const asked = requests.get(linkKey(client, node, operations.msg_id[o])) ?? [];
  for (const m of asked) roles.set(m, "the request");
  const firstReply = asked.flatMap(repliesTo).sort(inOrderOfSending)[0];
  const isAfterReply = (m) => firstReply !== undefined && inOrderOfSending(m, firstReply) > 0;
  const roleBesides = (m) => `sent by ${sourceOf(m)} ${isAfterReply(m) ? "after the reply" : "meanwhile"}`;
  const last_us = completedAt(o) + AFTER_US;
  const open = [...asked];
  while (open.length > 0 && roles.size < CAUSED_MAX) {
    const request = open.pop();
    const answers = repliesTo(request);
    for (const reply of answers) roles.set(reply, `reply of ${sourceOf(reply)}`);
    if (isLost(request) || !isNode[messages.dest[request]]) continue;
    // What is sent after the operation's reply may have no reply of its own.
    const done = answers[0] ?? (isAfterReply(request) ? request : null);
    const end_us = done === null ? last_us : Math.min(messages.sent_us[done] + AFTER_US, last_us);
    for (const m of sentWithin(messages.dest[request], endOf(request), end_us)) {
      if (inOrderOfSending(m, request) < 0) continue;
      const isReply = messages.in_reply_to[m] !== null;
      const isNextReply = isReply && isClient[messages.dest[m]] && !answers.includes(m);
      if (isNextReply && done !== null && inOrderOfSending(m, done) > 0) break;
      if (roles.has(m) || isReply || isClient[messages.dest[m]]) continue;
      roles.set(m, roleBesides(m));
      open.push(m);
    }
  }
  for (const m of sentWithin(node, operations.invoked_us[o], completedAt(o))) {
    if (messages.dest[m] === client && !roles.has(m)) roles.set(m, roleBesides(m));
  }
  return new Map([...roles].sort(([a], [b]) => inOrderOfSending(a, b)));
}

/** The messages of one sender in a time span. */
function sentWithin(name, from_us, to_us) {
  const all = sentBy.get(name) ?? [];
  const first = lowerBound(all, from_us, (m) => messages.sent_us[m]);
  const within = [];
  for (let i = first; i < all.length && messages.sent_us[all[i]] <= to_us; i++) within.push(all[i]);
  return within;
}
