//! Network namespaces of a test: what happens in them is seen by nobody else.

use crate::lab::{is_offered, skip};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A namespace with its loopback up.
pub struct Net {
    name: String,
}

impl Net {
    /// A fresh one; `None`, said in a line, where none can be made.
    pub fn new() -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        if !is_offered("what libpcap asks of interfaces (SIOCETHTOOL, SO_TIMESTAMPNS)") {
            return None;
        }
        let name = format!("collector-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let net = Self { name };
        // A namespace that cannot be entered (containers) is no use either.
        if ip(&["netns", "add", &net.name]) && ip(&["-n", &net.name, "link", "set", "lo", "up"]) {
            return Some(net);
        }
        skip("live capture: network namespaces need root and iproute2");
        None
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Words to put before a command that runs in it.
    pub fn enter(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// `ip -n NAME …`.
    #[track_caller]
    pub fn ip(&self, args: &[&str]) {
        assert!(ip(&[&["-n", &self.name], args].concat()), "ip {args:?}");
    }

    /// Joins two namespaces: `v0` here with 10.9.0.1, `v1` there with 10.9.0.2. `false`, said in a line, where there is
    /// no such device.
    pub fn join(&self, other: &Self) -> bool {
        let pair = ["-n", &self.name, "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", other.name()];
        if !ip(&pair) {
            skip("live capture: this kernel makes no veth devices");
            return false;
        }
        self.ip(&["address", "add", "10.9.0.1/24", "dev", "v0"]);
        other.ip(&["address", "add", "10.9.0.2/24", "dev", "v1"]);
        self.ip(&["link", "set", "v0", "up"]);
        other.ip(&["link", "set", "v1", "up"]);
        true
    }

    /// Runs a command in it to its end; answers whether it succeeded.
    pub fn run(&self, command: &[&str]) -> bool {
        let enter = self.enter();
        quiet(Command::new(enter[0]).args(&enter[1..]).args(command))
    }

    /// Calls a function on a thread in it: its sockets are the namespace's.
    pub fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let space = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|s| {
            let thread = s.spawn(|| {
                move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                f()
            });
            thread.join().unwrap_or_else(|e| std::panic::resume_unwind(e))
        })
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.name]);
    }
}

fn ip(args: &[&str]) -> bool {
    quiet(Command::new("ip").args(args))
}

fn quiet(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|s| s.success())
}
