//! Broken nodes: a shim rewrites the input and output of a correct node, as if one line of its code were wrong.

use serde_json::{Value, json};

use super::nodes::Line;

/// The flaw of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// It acknowledges an add when it arrives.
    EarlyAcknowledgement,
    /// It answers a read with the newest state that it knows.
    ReadsFromCache,
    /// A proposal of reads alone has the id of the previous proposal.
    ReadsKeepProposalId,
    /// It counts proposals from one in each incarnation.
    ProposalIdsStartAgain,
}

/// The shim between a node and all others. Without a flaw it passes everything on.
#[derive(Debug)]
pub struct Shim {
    flaw: Option<Flaw>,
    node: String,
    output: Vec<Line>,
    /// The clients whose adds were acknowledged early.
    acknowledged: Vec<Value>,
    /// The register as the node knows it, and as its last cas sets it.
    known: Option<Value>,
    wanted: Value,
    /// The proposal ids of the node, each with the one that the store has instead; oldest first.
    ids: Vec<(Value, Value)>,
}

impl Shim {
    pub fn new(flaw: Option<Flaw>, node: String) -> Self {
        Shim {
            flaw,
            node,
            output: Vec::new(),
            acknowledged: Vec::new(),
            known: None,
            wanted: Value::Null,
            ids: Vec::new(),
        }
    }

    /// The line that the node gets instead of this one, if any.
    pub fn receive(&mut self, line: &Line) -> Option<Line> {
        let Some(flaw) = self.flaw else {
            return Some(line.clone());
        };
        let mut message = parse(line);
        let kind = message["body"]["type"].as_str().unwrap_or_default();
        match (flaw, kind) {
            (Flaw::EarlyAcknowledgement, "add") => {
                self.acknowledged.push(message["src"].clone());
                self.answer(&message, json!({"type": "add_ok"}));
            }
            (Flaw::ReadsFromCache, "cas_ok") => self.known = Some(self.wanted.clone()),
            (Flaw::ReadsFromCache, "read_ok") => {
                self.known = Some(message["body"]["value"].clone())
            }
            (Flaw::ReadsFromCache, "read") => {
                if let Some(known) = &self.known {
                    let answer = json!({"type": "read_ok", "value": known[0]});
                    self.answer(&message, answer);
                    return None;
                }
            }
            (Flaw::ReadsKeepProposalId | Flaw::ProposalIdsStartAgain, "read_ok") => {
                let register = &mut message["body"]["value"];
                let mut ids = self.ids.iter().rev();
                if let Some(id) = last_applied(register, &self.node)
                    && let Some((own, _)) = ids.find(|(_, stored)| stored == id)
                {
                    *id = own.clone();
                }
            }
            _ => {}
        }
        Some(message.to_string().into())
    }

    /// Rewrites a line that the node writes.
    pub fn write(&mut self, line: Line) {
        let Some(flaw) = self.flaw else {
            return self.output.push(line);
        };
        let mut message = parse(&line);
        if self.acknowledged.contains(&message["dest"]) {
            return;
        }
        if message["body"]["type"] == "cas" {
            self.wanted = message["body"]["to"].clone();
            self.rename_proposals(flaw, &mut message["body"]);
        }
        self.output.push(message.to_string().into());
    }

    /// Takes the lines written since the last call.
    pub fn output(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.output)
    }

    fn answer(&mut self, request: &Value, mut body: Value) {
        body["in_reply_to"] = request["body"]["msg_id"].clone();
        let answer = json!({"src": self.node, "dest": request["src"], "body": body});
        self.output.push(answer.to_string().into());
    }

    fn rename_proposals(&mut self, flaw: Flaw, cas: &mut Value) {
        let Some(own) = last_applied(&mut cas["to"], &self.node).cloned() else {
            return;
        };
        if self.ids.iter().all(|(known, _)| *known != own) {
            let last = self.ids.last().map(|(_, stored)| stored.clone());
            let stored = match flaw {
                Flaw::ProposalIdsStartAgain => json!(self.ids.len() + 1),
                Flaw::ReadsKeepProposalId if cas["from"][0] == cas["to"][0] => {
                    last.unwrap_or_else(|| own.clone())
                }
                _ => own.clone(),
            };
            self.ids.push((own, stored));
        }
        for state in ["from", "to"] {
            if let Some(id) = last_applied(&mut cas[state], &self.node)
                && let Some((_, stored)) = self.ids.iter().find(|(own, _)| own == id)
            {
                *id = stored.clone();
            }
        }
    }
}

/// The id of a node's last proposal in a register, which holds total, version, writer, and then node and id of each.
fn last_applied<'a>(register: &'a mut Value, node: &str) -> Option<&'a mut Value> {
    let table = register.as_array_mut()?.get_mut(3..)?;
    let own = table.chunks_mut(2).find(|entry| entry[0] == *node)?;
    own.get_mut(1)
}

fn parse(line: &Line) -> Value {
    serde_json::from_str(line).expect("lines are JSON")
}
