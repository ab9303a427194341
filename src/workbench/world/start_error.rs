//! The reasons why a run did not begin.

use thiserror::Error;

/// The reason why a run did not begin.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum StartError {
    /// Nodes did not answer `init` or the workload's introduction in time.
    #[error(
        "no {answer} from {nodes} within {timeout_s} s{}. A node answers {asked} with {{\"type\": \"{answer}\", \"in_reply_to\": \
         <the msg_id of {asked}>}}, on a line of its own, and flushes stdout after it{instead}",
        more_time(asked)
    )]
    NoAnswer {
        /// Their names.
        nodes: String,
        /// The type of the request.
        asked: &'static str,
        /// The type of its answer.
        answer: &'static str,
        /// How long they had, in seconds.
        timeout_s: f64,
        /// The protocol violations of one of them, or what one of them sent to another, each on a line of its own.
        instead: String,
    },
    /// A node gave another answer.
    #[error("{node} answered {asked} wrongly ({why}): {answer}")]
    Refused {
        /// Its name.
        node: String,
        /// The type of the request.
        asked: &'static str,
        /// The body of its answer.
        answer: String,
        /// What is wrong with it, in words.
        why: String,
    },
    /// A node can no longer answer.
    #[error(
        "{node} closed its stdout before the run began, and can't answer. Messages go there; does it, or what starts it, close or redirect it?{instead}"
    )]
    ClosedStdout {
        /// Its name.
        node: String,
        /// Its protocol violations before, each on a line of its own.
        instead: String,
    },
    /// The run was interrupted.
    #[error("interrupted before the run began")]
    Interrupted,
    /// A node ended before all had answered.
    #[error("{node} ended before the run began: {how}")]
    Exited {
        /// Its name.
        node: String,
        /// How it ended.
        how: String,
    },
    /// The connection to a node that runs elsewhere ended before the node had answered the workload's introduction.
    #[error("{node} did not answer {asked}, with which a run begins: {why}")]
    Disconnected {
        /// Its name.
        node: String,
        /// The type of the request.
        asked: &'static str,
        /// Why the connection ended, in words.
        why: String,
    },
}

/// How a node gets more time to answer.
fn more_time(asked: &str) -> &'static str {
    match asked {
        "init" => " (--init-timeout gives more)",
        _ => "",
    }
}
