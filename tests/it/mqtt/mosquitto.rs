//! A real mosquitto and its clients. Skipped, with a line, where there is none.

use crate::lab::{Lab, PATIENCE, free_port, skip};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Where a program is that Debian keeps out of some users' way.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = path.split(':').chain(["/usr/sbin", "/usr/local/sbin"]);
    dirs.map(|dir| Path::new(dir).join(name)).find(|p| p.is_file())
}

/// A broker of its own for one test; killed at the end.
pub struct Mosquitto {
    pub port: u16,
    conf: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Mosquitto {
    /// Starts one that keeps its data in the lab, with these further settings; `None` where it is not installed.
    pub fn start(lab: &Lab, name: &str, settings: &str) -> Option<Self> {
        if ["mosquitto", "mosquitto_pub", "mosquitto_sub"].iter().any(|p| program(p).is_none()) {
            skip("mosquitto and its clients are not here (scripts/setup.sh test installs them)");
            return None;
        }
        let (port, dir) = (free_port(), lab.path(name));
        std::fs::create_dir_all(&dir).unwrap();
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let conf = lab.write(
            &format!("{name}/conf"),
            format!(
                "user {user}\nallow_anonymous true\npersistence true\npersistence_location {}/\nmax_queued_messages 0\n\
                 max_inflight_messages 100\nlistener {port} 127.0.0.1\n{settings}",
                dir.display()
            ),
        );
        let log = dir.join("log");
        let child = Self::spawn(&conf, &log);
        let server = Self { port, conf, log, child };
        server.wait();
        Some(server)
    }

    fn spawn(conf: &Path, log: &Path) -> Child {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(program("mosquitto").unwrap());
        command.arg("-c").arg(conf).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    fn wait(&self) {
        let up = crate::lab::until(|| TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        assert!(up, "mosquitto does not come up: {}", std::fs::read_to_string(&self.log).unwrap_or_default());
    }

    /// SIGTERM, which makes it write down what it has, and its end.
    pub fn stop(&mut self) {
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), Signal::TERM).unwrap();
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "mosquitto does not end");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Starts it again, with what it had.
    pub fn start_again(&mut self) {
        self.child = Self::spawn(&self.conf, &self.log);
        self.wait();
    }

    /// A subscriber whose session outlives connections; what it hears goes to a file of the lab, as `TOPIC PAYLOAD` lines.
    pub fn subscribe(&self, lab: &Lab, topic: &str, file: &str, more: &[&str]) -> Client {
        let port = self.port.to_string();
        let own = ["-h", "localhost", "-p", &port, "-i", file, "-c", "-q", "1", "-t", topic, "-F", "%t %p"];
        let out = File::create(lab.path(file)).unwrap();
        let err = File::create(lab.path(&format!("{file}.err"))).unwrap();
        let mut command = Command::new(program("mosquitto_sub").unwrap());
        let child = command.args(own).args(more).stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
        let client = Client(child);
        // It has subscribed when it hears itself.
        lab.wait("the subscription", || {
            publish(self.port, &topic.replace('#', "ready"), &["x".into()], more);
            lab.read(file).contains("ready x")
        });
        client
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client; killed at the end.
pub struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Publishes each line as a message of QoS 1 with mosquitto_pub; whether all were acknowledged.
pub fn publish(port: u16, topic: &str, lines: &[String], more: &[&str]) -> bool {
    let port = port.to_string();
    let own = ["-h", "localhost", "-p", &port, "-t", topic, "-q", "1", "-l"];
    let mut command = Command::new(program("mosquitto_pub").unwrap());
    let mut child =
        command.args(own).args(more).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut text = lines.join("\n");
    text.push('\n');
    let mut pipe = child.stdin.take().unwrap();
    let wrote = pipe.write_all(text.as_bytes()).is_ok();
    drop(pipe);
    child.wait().unwrap().success() && wrote
}
