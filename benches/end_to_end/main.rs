//! The real binaries against the straight loop and against `cat`: flood, latency, many requests in flight, and the start.
//!
//! The programs take turns, so that a machine that is busy with other things is busy for all of them. The bench runs
//! itself as the straight loop with the argument `ceiling`.

mod ceiling;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A program as a release builds it, if there is one; else as a bench does.
fn released(name: &str, built: &str) -> PathBuf {
    std::env::var_os("RELEASED").map_or(built.into(), |folder| Path::new(&folder).join(name))
}

const FLOOD_MESSAGES: usize = 500_000;
const ROUNDS: usize = 15;
const EXCHANGES_A_ROUND: usize = 2_000;
const IN_FLIGHT: usize = 64;
const EXCHANGES_IN_FLIGHT: usize = 40_000;
const STARTS: usize = 200;

fn main() {
    if std::env::args().any(|argument| argument == "ceiling") {
        return ceiling::run().expect("standard input and output work");
    }
    let this = std::env::current_exe().expect("a bench is a file");
    let ceiling = with_argument(&this, "ceiling");
    let echo_path = released("echo", env!("CARGO_BIN_EXE_echo"));
    let echo = || Command::new(&echo_path);
    let counter_path = released("flood", env!("CARGO_BIN_EXE_flood"));
    flood("echo", request, &ceiling, &echo);
    for level in ["regular", "linearizable", "sequential"] {
        let counter = with_argument(&counter_path, level);
        flood(level, add_or_read, &ceiling, &counter);
    }
    on_one_core(|| latency([&|| Command::new("cat"), &ceiling, &echo]));
    in_flight(&ceiling, &echo);
    start(&|| Command::new("true"), &echo);
}

type Program<'a> = &'a dyn Fn() -> Command;

fn with_argument(program: &Path, argument: &'static str) -> impl Fn() -> Command {
    move || {
        let mut command = Command::new(program);
        command.arg(argument);
        command
    }
}

fn init() -> &'static str {
    "{\"id\":0,\"src\":\"c0\",\"dest\":\"n0\",\"body\":{\"type\":\"init\",\"node_id\":\"n0\",\"node_ids\":[\"n0\"],\"msg_id\":1}}\n"
}

fn request(number: usize) -> String {
    let (client, payload) = (number % 10, number % 128);
    format!(
        "{{\"id\":{number},\"src\":\"c{client}\",\"dest\":\"n0\",\"body\":{{\"echo\":\"Please echo {payload}\",\"type\":\"echo\",\"msg_id\":{number}}}}}\n"
    )
}

fn add_or_read(number: usize) -> String {
    let client = number % 10;
    let body = match number % 2 {
        0 => "\"delta\":3,\"type\":\"add\"",
        _ => "\"type\":\"read\"",
    };
    format!(
        "{{\"id\":{number},\"src\":\"c{client}\",\"dest\":\"n0\",\"body\":{{{body},\"msg_id\":{number}}}}}\n"
    )
}

fn flood(name: &str, request: fn(usize) -> String, ceiling: Program, program: Program) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flood.jsonl");
    let messages: String = (1..=FLOOD_MESSAGES).map(request).collect();
    std::fs::write(&path, init().to_string() + &messages)
        .expect("the target folder can be written");
    let rounds = [(); ROUNDS].map(|()| {
        [ceiling, program].map(|program| {
            let input = File::open(&path).expect("it was just written");
            let start = Instant::now();
            let status = program().stdin(input).stdout(Stdio::null()).status();
            assert!(status.expect("it starts").success());
            start.elapsed()
        })
    });
    print_rates(&format!("flood {name}"), FLOOD_MESSAGES, &rounds);
}

/// Prints the best rates of the straight loop and of a program, which took turns, and the ratios of single rounds.
fn print_rates(name: &str, messages: usize, rounds: &[[Duration; 2]; ROUNDS]) {
    let best = |of: usize| rounds.iter().map(|round| round[of]).min();
    let [ceiling, rate] = [0, 1].map(|of| {
        let best = best(of).expect("there are rounds");
        messages as f64 / best.as_secs_f64()
    });
    let ratios = rounds.map(|[ceiling, time]| ceiling.as_secs_f64() / time.as_secs_f64());
    println!(
        "{name:18} {rate:9.0}/s   ceiling {ceiling:9.0}/s   ratio {}",
        median(ratios)
    );
}

/// The median of the ratios of single rounds, and between which the middle half of them are.
fn median(mut ratios: [f64; ROUNDS]) -> String {
    ratios.sort_by(f64::total_cmp);
    let [low, median, high] =
        [ROUNDS / 4, ROUNDS / 2, ROUNDS - 1 - ROUNDS / 4].map(|at| ratios[at]);
    format!("{median:.2} ({low:.2} to {high:.2})")
}

/// A program, its pipes, and the request that comes next.
struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    line: String,
    number: usize,
}

impl Peer {
    fn start(mut command: Command) -> Self {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pipes.spawn().expect("it starts");
        let input = child.stdin.take().expect("it is a pipe");
        let output = BufReader::with_capacity(64 << 10, child.stdout.take().expect("it is a pipe"));
        let line = String::new();
        let mut peer = Peer {
            child,
            input,
            output,
            line,
            number: 0,
        };
        peer.input.write_all(init().as_bytes()).expect("it reads");
        peer
    }

    fn ask(&mut self, count: usize) {
        let requests: String = (0..count)
            .map(|index| request(self.number + index))
            .collect();
        self.number += count;
        self.input.write_all(requests.as_bytes()).expect("it reads");
    }

    /// Waits for an answer and takes all that are there.
    fn answers(&mut self) -> usize {
        let mut count = 0;
        while count == 0 || self.output.buffer().contains(&b'\n') {
            self.line.clear();
            self.output.read_line(&mut self.line).expect("it answers");
            count += 1;
        }
        count
    }

    fn end(self) {
        let Peer {
            mut child, input, ..
        } = self;
        drop(input);
        assert!(child.wait().expect("it ends").success());
    }
}

/// Keeps this process and all that it starts on one core meanwhile. To wake a process on another core costs twenty times
/// what either program does with a request, and which one is so unlucky is chance.
fn on_one_core(measure: impl FnOnce()) {
    let everywhere = sched_getaffinity(None).expect("there are cores");
    let first = (0..CpuSet::MAX_CPU).find(|&core| everywhere.is_set(core));
    let mut one = CpuSet::new();
    one.set(first.expect("one of them runs this"));
    sched_setaffinity(None, &one).expect("it is one of ours");
    measure();
    sched_setaffinity(None, &everywhere).expect("they were ours before");
}

/// `cat` and echo answer the `init`, too; the straight loop doesn't.
fn latency(programs: [Program; 3]) {
    let mut peers = programs.map(|program| Peer::start(program()));
    peers[0].answers();
    peers[2].answers();
    let rounds = [(); ROUNDS].map(|()| {
        peers.each_mut().map(|peer| {
            let mut times = Histogram::<u64>::new(3).expect("3 digits are allowed");
            for _ in 0..EXCHANGES_A_ROUND {
                let start = Instant::now();
                peer.ask(1);
                peer.answers();
                let time_ns = start.elapsed().as_nanos() as u64;
                times.record(time_ns).expect("the histogram grows");
            }
            times
        })
    });
    peers.into_iter().for_each(Peer::end);
    for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        let in_rounds = rounds
            .each_ref()
            .map(|round| round.each_ref().map(|times| microseconds(times, quantile)));
        let [cat, echo] = [0, 2].map(|of| {
            let all = rounds.iter().map(|round| &round[of]);
            let sum = all.fold(
                Histogram::new(3).expect("3 digits are allowed"),
                |sum, times| sum + times,
            );
            microseconds(&sum, quantile)
        });
        println!(
            "latency {name:10} echo {echo:7.1} us    cat     {cat:7.1} us    ratio {}, of the ceiling {}",
            median(in_rounds.map(|[cat, _, echo]| echo / cat)),
            median(in_rounds.map(|[cat, ceiling, _]| ceiling / cat)),
        );
    }
}

fn microseconds(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e3
}

fn in_flight(ceiling: Program, echo: Program) {
    let rounds = [(); ROUNDS].map(|()| {
        // The straight loop doesn't answer an init.
        [(ceiling, false), (echo, true)].map(|(program, says_init_ok)| {
            let mut peer = Peer::start(program());
            if says_init_ok {
                peer.answers();
            }
            let start = Instant::now();
            let (mut asked, mut answered) = (0, 0);
            while answered < EXCHANGES_IN_FLIGHT {
                let room = (answered + IN_FLIGHT - asked).min(EXCHANGES_IN_FLIGHT - asked);
                peer.ask(room);
                asked += room;
                answered += peer.answers();
            }
            let time = start.elapsed();
            peer.end();
            time
        })
    });
    print_rates(
        &format!("{IN_FLIGHT} in flight, echo"),
        EXCHANGES_IN_FLIGHT,
        &rounds,
    );
}

/// From nothing to the answer to `init`, beside a program that does nothing, from nothing to its end.
fn start(nothing: Program, echo: Program) {
    let mut times = [(); 2].map(|()| Histogram::<u64>::new(3).expect("3 digits are allowed"));
    for _ in 0..STARTS {
        let start = Instant::now();
        let status = nothing().status().expect("it starts");
        let nothing_ns = start.elapsed().as_nanos() as u64;
        assert!(status.success());
        let start = Instant::now();
        let mut peer = Peer::start(echo());
        peer.answers();
        let echo_ns = start.elapsed().as_nanos() as u64;
        peer.end();
        for (times, time_ns) in times.iter_mut().zip([nothing_ns, echo_ns]) {
            times.record(time_ns).expect("the histogram grows");
        }
    }
    let [nothing, echo] = times.map(|times| microseconds(&times, 0.5));
    println!(
        "start to init_ok   echo {echo:7.1} us    true    {nothing:7.1} us    {:.1} us more",
        echo - nothing
    );
}
