//! Real servers in a namespace, and what is asked of them.

use super::net::Net;
use crate::lab::{Lab, skip, until};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server that ends with the test.
pub struct Server(Child);

impl Server {
    fn start(net: &Net, command: &[&str], what: &str, is_up: impl Fn() -> bool + Send + Copy) -> Option<Self> {
        let enter = net.enter();
        let mut child = Command::new(enter[0]);
        let child = child.args(&enter[1..]).args(command).stdin(Stdio::null()).stdout(Stdio::null());
        let server = Self(child.stderr(Stdio::null()).spawn().unwrap());
        if !until(|| net.inside(is_up)) {
            skip(&format!("live capture: {what} does not start"));
            return None;
        }
        Some(server)
    }

    /// nginx with `/found` on port 80, and on port 443 for `www.example` with a certificate of its own making.
    pub fn nginx(net: &Net, lab: &Lab) -> Option<Self> {
        const NGINX: &str = "/usr/sbin/nginx";
        if !std::path::Path::new(NGINX).exists() {
            skip("live capture: nginx is not installed (scripts/setup.sh test)");
            return None;
        }
        let cert = rcgen::generate_simple_self_signed(["www.example".to_owned()]).unwrap();
        lab.write("nginx/cert.pem", cert.cert.pem());
        lab.write("nginx/key.pem", cert.signing_key.serialize_pem());
        let dir = lab.path("nginx");
        let dir = dir.to_str().unwrap();
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|w| format!("    {w}_temp_path {dir}/{w};\n"))
            .collect();
        let conf = format!(
            "daemon off;\nuser root;\nworker_processes 1;\npid {dir}/pid;\nerror_log {dir}/error.log;\nevents {{}}\n\
             http {{\n    access_log off;\n{temp}\
             \x20   server {{\n        listen 80;\n        listen 443 ssl;\n        server_name www.example;\n\
             \x20       ssl_protocols TLSv1.2 TLSv1.3;\n\
             \x20       ssl_certificate {dir}/cert.pem;\n        ssl_certificate_key {dir}/key.pem;\n\
             \x20       location = /found {{ return 200 \"found\\n\"; }}\n        location / {{ return 404; }}\n    }}\n}}\n"
        );
        let conf = lab.write("nginx/nginx.conf", conf);
        let command = [NGINX, "-e", "stderr", "-p", dir, "-c", conf.to_str().unwrap()];
        Self::start(net, &command, "nginx", || TcpStream::connect("127.0.0.1:443").is_ok())
    }

    /// A DNS server that knows `host.example`, and that nothing else is in `example`.
    pub fn dns(net: &Net) -> Option<Self> {
        const DNSMASQ: &str = "/usr/sbin/dnsmasq";
        if !std::path::Path::new(DNSMASQ).exists() {
            skip("live capture: dnsmasq is not installed (scripts/setup.sh test)");
            return None;
        }
        let command = [
            DNSMASQ,
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--no-resolv",
            "--no-hosts",
            "--user=root",
            "--local=/example/",
            "--address=/host.example/192.0.2.7",
        ];
        Self::start(net, &command, "dnsmasq", || TcpStream::connect("127.0.0.1:53").is_ok())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not killed: nginx ends its workers itself.
        if let Some(pid) = Pid::from_raw(self.0.id() as i32) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// Two requests over one connection: what is there, and what is not.
pub fn http(host: &str) {
    let mut stream = TcpStream::connect((host, 80)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut said = String::new();
    for (path, keep) in [("/found", "keep-alive"), ("/lost?x=1", "close")] {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: www.example\r\nConnection: {keep}\r\n\r\n").unwrap();
        let mut buf = [0; 4096];
        let n = stream.read(&mut buf).unwrap();
        said.push_str(&String::from_utf8_lossy(&buf[..n]));
    }
    stream.read_to_string(&mut said).unwrap();
    assert!(said.contains(" 200 ") && said.contains(" 404 "), "{said}");
}

/// Asks for an address; answers the response code.
pub fn dns(server: &str, name: &str, id: u16) -> u8 {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send_to(&query(id, name), (server, 53)).unwrap();
    let mut buf = [0; 512];
    let n = socket.recv(&mut buf).unwrap();
    assert!(n > 12 && buf[..2] == id.to_be_bytes());
    buf[3] & 15
}

/// A DNS query for an A record.
pub fn query(id: u16, name: &str) -> Vec<u8> {
    let mut q = id.to_be_bytes().to_vec();
    q.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        q.push(label.len() as u8);
        q.extend(label.as_bytes());
    }
    q.extend([0, 0, 1, 0, 1]);
    q
}
