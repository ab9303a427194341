use thiserror::Error;

/// Why a run never began.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum StartError {
    /// Nodes did not answer in time what they were told before clients began.
    #[error(
        "no {answer} from {nodes} within {timeout_s} s. A node answers {asked} with {{\"type\": \"{answer}\", \"in_reply_to\": \
         <the msg_id of {asked}>}}, on a line of its own, and flushes stdout after it{instead}"
    )]
    NoAnswer {
        /// Their names.
        nodes: String,
        /// The type of what they were told.
        asked: &'static str,
        /// The type of the answer that they owe.
        answer: &'static str,
        /// How long they had, in seconds.
        timeout_s: f64,
        /// What one of them did wrong, each on a line of its own.
        instead: String,
    },
    /// A node answered with something else.
    #[error("{node} answered {asked} with what is no answer to it ({why}): {answer}")]
    Refused {
        /// Its name.
        node: String,
        /// The type of what it was told.
        asked: &'static str,
        /// What it said.
        answer: String,
        /// What is wrong with that, for a person.
        why: String,
    },
    /// A node can answer nothing any longer.
    #[error(
        "{node} closed its stdout before the run began, and can't answer. Messages go there; does it, or what starts it, close or redirect it?{instead}"
    )]
    ClosedStdout {
        /// Its name.
        node: String,
        /// What it did wrong before, each on a line of its own.
        instead: String,
    },
    /// Someone wanted it to end.
    #[error("interrupted before the run began; all nodes have been ended")]
    Interrupted,
    /// A node was gone before all had answered.
    #[error("{node} ended before the run began: {how}")]
    Exited {
        /// Its name.
        node: String,
        /// How it ended.
        how: String,
    },
}
