//! Whether a run of `eddy test` begins, and what is said if it does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::command::output::{assert_ends_with, stderr};
use crate::open_files::assert_too_few;
use crate::program::program;
use crate::python_node::echo_node;
use crate::test::{SHORT, test, verdict_on_program};

#[test]
fn a_program_that_can_not_be_run_is_reported_with_what_to_do() {
    let printed = |path: &Path| {
        let output = test(path, SHORT);
        assert_ends_with(3, &output);
        stderr(&output)
    };
    assert!(printed(Path::new("/no/such/file")).contains("Build it first"));
    for command in ["sh", "sh ./node.sh", "/bin/sh ./node.sh"] {
        let printed = printed(Path::new(command));
        assert!(printed.contains("/sh -- /path/to/script"), "{printed}");
    }
    assert!(printed(Path::new("./sh")).contains("Build it first"));
    assert!(printed(Path::new("/")).contains("not a file"));
    let plain = program("plain.py", "#!/usr/bin/env python3\n");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).expect("it is ours");
    assert!(printed(&plain).contains("chmod +x"));
    let lost = program("no_interpreter", "#!/no/such/interpreter\n");
    assert!(printed(&lost).contains("interpreter"));
    let returns = program("returns.py", "#!/usr/bin/env python3\r\nprint()\r\n");
    assert!(printed(&returns).contains("carriage return"));
    let lost = program("lost_by_env", "#!/usr/bin/env no-such-python\n");
    assert!(printed(&lost).contains("asks for no-such-python"));
    let text = program("no_first_line", "print('hello')\n");
    assert!(printed(&text).contains("#!/usr/bin/env"));
    let windows = program("windows", "MZ\u{1}");
    assert!(printed(&windows).contains("built for Windows"));
}

#[test]
fn nodes_for_whose_pipes_too_few_files_may_be_open_are_not_started() {
    assert_too_few(
        50,
        104,
        "test -w echo --no-store --bin /bin/cat --node-count 10",
    );
}

#[test]
fn a_node_that_never_answers_init_is_named() {
    let script = "#!/bin/sh\necho waiting for a bus >&2\nexec sleep 1000\n";
    let output = test(&program("silent.sh", script), "--init-timeout 1.5");
    assert_ends_with(3, &output);
    let printed = stderr(&output);
    assert!(
        printed.contains("no init_ok from n0, n1 within 1.5 s"),
        "{printed}"
    );
    let once = "no line came from the stdout of nodes n0, n1\nthe end of stderr of nodes n0, n1:\n  waiting for a bus\n";
    assert!(printed.ends_with(once), "{printed}");
}

#[test]
fn a_node_that_closes_its_stdout_before_it_is_ready_is_reported_at_once() {
    let script = "#!/bin/sh\necho shy >&2\nexec >&-\nexec sleep 1000\n";
    let output = test(&program("closes.sh", script), SHORT);
    assert_ends_with(3, &output);
    let printed = stderr(&output);
    assert!(
        printed.contains("closed its stdout before the run began"),
        "{printed}"
    );
    assert!(
        printed.contains("shy") && !printed.contains("within 10 s"),
        "{printed}"
    );
}

#[test]
fn what_a_node_did_in_place_of_init_ok_is_reported() {
    let script = "#!/bin/sh\nread line\necho Listening!\nexit 1\n";
    let printed = verdict_on_program(&program("chatty.sh", script));
    assert!(
        printed.contains("printed on stdout a line that is not a message"),
        "{printed}"
    );
    assert!(printed.contains("Listening!"), "{printed}");
    assert!(printed.contains("mute from here on"), "{printed}");
}

#[test]
fn a_byte_order_mark_is_named_for_what_it_is() {
    let script =
        "#!/bin/sh\nread line\nprintf '\\357\\273\\277{\"src\":\"n0\"}\\n'\nexec sleep 1000\n";
    let printed = verdict_on_program(&program("marked.sh", script));
    assert!(
        printed.contains("it begins with a byte-order mark"),
        "{printed}"
    );
}

#[test]
fn a_line_without_its_end_is_named_for_what_it_is() {
    let script =
        "#!/bin/sh\nread line\nprintf '{\"src\":\"n0\",\"dest\":\"c0\"'\nexec sleep 1000\n";
    let output = test(&program("unfinished.sh", script), "--init-timeout 1");
    assert_ends_with(3, &output);
    let printed = stderr(&output);
    assert!(
        printed.contains(r#"n0 has not ended this line on stdout: {"src":"n0","dest":"c0""#),
        "{printed}"
    );
}

/// Upstream's demos of sets and counters are such nodes.
#[test]
fn a_node_that_takes_its_time_to_start_may_send_to_others_as_soon_as_it_has_its_init() {
    let ignores = "if body['type'] == 'hello': continue";
    let greets = "for other in body['node_ids']: say(other, {'type': 'hello'})";
    let script = echo_node(ignores)
        .replace("count = 0", "count = 0; time.sleep(0.2)")
        .replace(
            "        continue\n",
            &format!("        {greets}\n        continue\n"),
        );
    let output = test(&program("greets.py", &script), &format!("{SHORT} --strict"));
    assert_ends_with(0, &output);
}

#[test]
fn the_folder_of_nodes_is_named_when_one_ends_for_want_of_a_file() {
    let script = "#!/bin/sh\nexec cat no-such-file\n";
    let output = test(&program("relative.sh", script), SHORT);
    assert_ends_with(3, &output);
    let printed = stderr(&output);
    let folder = std::env::temp_dir();
    let expected = format!(
        "Nodes run in the folder for temporary files, {}",
        folder.display()
    );
    assert!(printed.contains(&expected), "{printed}");
}
