//! A name server of the lab's own, and names that do not resolve for a while.

use super::sink::Sink;
use super::storage::{many_files, scattered};
use super::trial::{Again, Trial};
use crate::lab::is_native;
use rustix::process::Signal;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Answers every question for an address with 127.0.0.1, or with the news that there is no such name.
struct Names {
    address: String,
    asked: Arc<AtomicUsize>,
    known: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Names {
    /// On port 53 of an address of the loopback network; `None` when that is not allowed.
    fn new() -> Option<Self> {
        let pid = std::process::id();
        let address = format!("127.{}.{}.{}", 2 + pid % 60, pid / 60 % 250, 2 + pid / 15_000 % 250);
        let socket = UdpSocket::bind((address.as_str(), 53)).ok()?;
        socket.set_read_timeout(Some(Duration::from_millis(100))).ok()?;
        let (asked, known, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default(), Arc::default());
        let names = Self { address, asked: asked.clone(), known: known.clone(), over: Arc::clone(&over) };
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            while !over.load(Ordering::Relaxed) {
                let Ok((size, from)) = socket.recv_from(&mut packet) else { continue };
                let (answer, is_address) = answer(&packet[..size], known.load(Ordering::Relaxed));
                asked.fetch_add(usize::from(is_address), Ordering::Relaxed);
                let _ = socket.send_to(&answer, from);
            }
        });
        Some(names)
    }

    /// Questions for an address of version 4: each look-up has one.
    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// The answer to a question (RFC 1035 §4), and whether it was one for an address of version 4.
fn answer(question: &[u8], known: bool) -> (Vec<u8>, bool) {
    let labels = question.get(12..).unwrap_or_default();
    let name_end = 12 + labels.iter().position(|b| *b == 0).unwrap_or(0) + 1;
    let Some(kind) = question.get(name_end..name_end + 2) else { return (Vec::new(), false) };
    let is_address = kind == [0, 1];
    let found = known && is_address;
    // A response, recursion available; without the additional records that the question had.
    let mut out = question[..name_end + 4].to_vec();
    (out[2], out[3]) = (0x81, if known { 0x80 } else { 0x83 });
    out[4..12].copy_from_slice(&[0, 1, 0, u8::from(found), 0, 0, 0, 0]);
    if found {
        // The name of the question, A, IN, no time to live, four bytes.
        out.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    (out, is_address)
}

/// Thousands of chunks wait for a host that nobody knows; then it is known.
pub fn dns_dead(t: &mut Trial) {
    let names = Names::new().filter(|_| rustix::process::geteuid().is_root() && is_native());
    let Some(names) = names else {
        t.row.skipped = Some("only root can have a name server of its own".into());
        return;
    };
    // The port is free on 127.0.0.1, where the name will lead.
    let sink = Sink::on(TcpListener::bind("127.0.0.1:0").unwrap(), &t.tally);
    let conf = scattered(sink.port()).output("Host sink.test").service("scheduler.cap 3");
    t.lab.write("resolv.conf", format!("nameserver {}\noptions timeout:1 attempts:1\n", names.address));
    t.lab.write("nsswitch.conf", "hosts: dns\n");
    t.lab.write("collector.conf", conf.text());
    let written = many_files(t, t.size(10_000, 500));
    let script = "mount --bind resolv.conf /etc/resolv.conf && mount --bind nsswitch.conf /etc/nsswitch.conf && \
                  exec \"$0\" \"$@\"";
    let way = ["unshare", "-m", "sh", "-c", script];
    let mut run = t.lab.command(&["-c", "collector.conf"]).through(&way).start();
    run.wait_stderr("the host name cannot be resolved");
    // Those that were under way when the first one failed.
    std::thread::sleep(Duration::from_secs(1));
    let (from, start) = (names.asked(), Instant::now());
    std::thread::sleep(Duration::from_secs(t.size(30, 9)));
    let (asked, time) = (names.asked() - from, start.elapsed().as_secs_f64());
    t.note(format!("{asked} look-ups in {time:.0} s with {} chunks waiting", written / 2));
    t.bar((asked as f64) < time, format!("{asked} look-ups in {time:.1} s"));
    t.bar(asked > 0, "it does not try again");
    names.known.store(true, Ordering::Relaxed);
    t.settle(written);
    t.end(run, Signal::TERM);
    t.check(written, Again::Never);
}

#[test]
fn a_question_is_answered() {
    let question =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x04sink\x04test\x00\x00\x01\x00\x01\x00\x00\x29\x04";
    let (no, is_address) = answer(question, false);
    assert!(is_address);
    assert_eq!(no, b"\x12\x34\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00\x04sink\x04test\x00\x00\x01\x00\x01");
    let (yes, _) = answer(question, true);
    assert_eq!(yes[..12], *b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00");
    assert!(yes.ends_with(&[0, 4, 127, 0, 0, 1]));
    assert_eq!(answer(b"short", true), (Vec::new(), false));
}
