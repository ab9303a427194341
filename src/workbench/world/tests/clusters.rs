//! Services that answer later, and clusters whose members faults hit.

use super::*;
use crate::protocol::Error;
use crate::workbench::network::Endpoint;
use crate::workbench::service::{Call, LateAnswer, Service};

/// A service that does not answer at once.
struct Late;

impl Service for Late {
    fn handle(&mut self, _: &Call<'_>, _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}

/// A world with one node, which has sent a request to a service that answers later.
fn waiting_world() -> World<Echo> {
    let mut world = World::new(Echo, settings(1), ());
    world.replace_service("seq-kv", Box::new(Late));
    let request =
        json!({"src": "n0", "dest": "seq-kv", "body": {"type": "read", "key": "k", "msg_id": 7}});
    world.on_line(0, &request.to_string(), Duration::ZERO);
    world.inbox(0).clear();
    world
}

fn late_answer() -> LateAnswer {
    LateAnswer {
        service: "seq-kv",
        client: Endpoint::Node(0),
        body: String::from(r#"{"type":"read_ok","value":1,"in_reply_to":7}"#),
    }
}

#[test]
fn a_late_answer_takes_the_time_that_the_network_takes() {
    let mut world = waiting_world();
    let at = Duration::from_secs(1);
    world.advance(at);
    assert!(world.inbox(0).is_empty(), "nobody has answered yet");
    world.on_late_answer(&late_answer(), at);
    world.advance(at);
    assert!(world.inbox(0).is_empty(), "it is under way");
    world.advance(at + Duration::from_millis(500));
    let line: Value = serde_json::from_slice(world.inbox(0)).expect("one message");
    assert_eq!(
        (&line["src"], &line["dest"]),
        (&json!("seq-kv"), &json!("n0"))
    );
    assert_eq!(line["body"]["value"], 1);
}

#[test]
fn an_answer_after_the_run_is_ignored() {
    let mut world = waiting_world();
    world.on_exit(0, "exit status: 1", Duration::ZERO);
    assert!(world.is_over());
    world.on_late_answer(&late_answer(), Duration::ZERO);
    assert!(world.inbox(0).is_empty());
}

#[test]
fn faults_of_members_hit_members_and_no_nodes() {
    for (fault, end) in [
        (Fault::MemberKill, MemberCommand::StartAll),
        (Fault::MemberPause, MemberCommand::ContinueAll),
    ] {
        let settings = Settings {
            faults: vec![fault],
            ..settings(1)
        };
        let mut world = World::new(Echo, settings, ());
        world.set_etcd_members(2);
        let mut now = Duration::ZERO;
        let init = json!({"src": "c0", "dest": "n0", "body": {"type": "init", "msg_id": 1}});
        world.on_line(0, &echo(&init), now);
        let mut commands = Vec::new();
        while !world.is_over() {
            world.advance(now);
            assert_eq!(world.next_command(), None);
            commands.extend(std::iter::from_fn(|| world.next_member_command()));
            now = world.next_deadline().unwrap_or(now);
        }
        let hit = |index| match fault {
            Fault::MemberKill => MemberCommand::Kill(index),
            _ => MemberCommand::Pause(index),
        };
        for command in [hit(0), hit(1), end] {
            assert!(commands.contains(&command), "{command:?}: {commands:?}");
        }
        assert_eq!(commands.last(), Some(&end), "a run ends without faults");
    }
}
