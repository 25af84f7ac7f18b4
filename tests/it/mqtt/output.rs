//! The output and a real broker.

use super::mosquitto::Mosquitto;
use crate::lab::{Lab, Proc};
use std::collections::BTreeSet;

fn conf(port: u16, keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 3\n    scheduler.base 1\n    scheduler.cap 1\n    Parsers_File parsers.conf\n\
         [INPUT]\n    Name tail\n    Path in.log\n    DB in.db\n    Read_from_Head On\n    Parser json\n    Tag app.x\n\
         [OUTPUT]\n    Name mqtt\n    Match *\n    Host localhost\n    net.dns.prefer_ipv4 on\n    Port {port}\n    \
         Json_Date_Key false\n{keys}"
    )
}

fn start(lab: &Lab, port: u16, keys: &str) -> Proc {
    lab.write("parsers.conf", "[PARSER]\n    Name json\n    Format json\n");
    lab.start(&conf(port, keys))
}

fn lines(lab: &Lab, from: u32, to: u32) {
    let text: String = (from..to).map(|n| format!("{{\"n\":{n},\"text\":\"{:0>100}\"}}\n", n)).collect();
    lab.append("in.log", text);
}

/// The numbers of what a subscriber heard, and how many messages that were.
fn heard(lab: &Lab, file: &str) -> (BTreeSet<u32>, usize) {
    let text = lab.read(file);
    let numbers = text.lines().filter_map(|l| l.split("\"n\":").nth(1)?.split(',').next()?.parse().ok());
    let all: Vec<u32> = numbers.collect();
    (all.iter().copied().collect(), all.len())
}

#[test]
fn subscribers_hear_what_is_published() {
    let lab = Lab::new("mqtt-out");
    let Some(server) = Mosquitto::start(&lab, "broker", "") else { return };
    let _sub = server.subscribe(&lab, "p/#", "heard", &[]);
    lab.write(
        "in.log",
        "{\"k\":\"grün\",\"n\":1,\"q\":\"a \\\"b\\\"\"}\n{\"k\":\"b/+\",\"n\":2}\n{\"k\":\"c\",\"n\":3}\n",
    );
    let mut run = start(&lab, server.port, "    Topic p/$TAG[1]/$k\n    Retain on\n");
    lab.wait("two messages", || lab.read("heard").matches("\"n\":").count() == 2);
    run.wait_stderr("'p/x/b/+' cannot be a topic (Topic)");
    run.term().code(0).says(&["output mqtt.0: 2 records"]);
    let text = lab.read("heard");
    assert!(text.contains("p/x/grün {\"k\":\"gr\\u00fcn\",\"n\":1,\"q\":\"a \\\"b\\\"\"}\n"), "{text}");
    assert!(text.contains("p/x/c {\"k\":\"c\",\"n\":3}\n"), "{text}");
    assert!(lab.read("rejected.ndjson").contains("cannot be a topic"));
    // Retained: who comes later hears the last ones, too.
    let _late = server.subscribe(&lab, "p/x/#", "late", &[]);
    lab.wait("the retained ones", || lab.read("late").matches("\"n\":").count() == 2);
}

/// The broker goes and comes, and we are killed: nothing is lost.
#[test]
fn restarts_and_kills_lose_nothing() {
    const ALL: u32 = 20_000;
    let lab = Lab::new("mqtt-out-kill");
    let Some(mut server) = Mosquitto::start(&lab, "broker", "") else { return };
    let _sub = server.subscribe(&lab, "t/#", "heard", &[]);
    let mut run = start(&lab, server.port, "    Topic t/$TAG\n");
    for round in 0..4 {
        let before = heard(&lab, "heard").1;
        lines(&lab, round * ALL / 4, (round + 1) * ALL / 4);
        lab.wait("some of it", || heard(&lab, "heard").1 > before);
        if round % 2 == 0 {
            server.stop();
            let said = run.stderr().matches("cannot connect").count();
            run.wait_for("the outage", |run| run.stderr().matches("cannot connect").count() > said);
            server.start_again();
        } else {
            run.kill();
            run = start(&lab, server.port, "    Topic t/$TAG\n");
        }
    }
    lab.wait("all of it", || heard(&lab, "heard").0.len() == ALL as usize);
    run.term().code(0);
    let (numbers, all) = heard(&lab, "heard");
    println!("{all} messages for {} records", numbers.len());
    assert!(all < 2 * ALL as usize, "{all}: far too much was sent twice");
}

#[cfg(feature = "tls")]
#[test]
fn tls_and_passwords() {
    let lab = Lab::new("mqtt-out-tls");
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let crt = lab.write("s.crt", key.cert.pem()).display().to_string();
    let private = lab.write("s.key", key.signing_key.serialize_pem()).display().to_string();
    // A name and its password as mosquitto_passwd writes them: PBKDF2 of "s3cret".
    let passwords = lab.path("passwords").display().to_string();
    let made = std::process::Command::new("mosquitto_passwd").args(["-b", "-c", &passwords, "me", "s3cret"]).output();
    if made.is_err() {
        return crate::lab::skip("mosquitto_passwd is not here");
    }
    let settings = format!("certfile {crt}\nkeyfile {private}\npassword_file {passwords}\n");
    let Some(server) = Mosquitto::start(&lab, "broker", &settings) else { return };
    let login = ["--cafile", &crt, "-u", "me", "-P", "s3cret"];
    let _sub = server.subscribe(&lab, "t/#", "heard", &login);
    lines(&lab, 0, 1000);
    let tls = "    Topic t/x\n    tls on\n    tls.ca_file s.crt\n    User me\n";
    let mut run = start(&lab, server.port, &format!("{tls}    Password wrong\n"));
    run.wait_stderr("may not connect");
    run.kill();
    let run = start(&lab, server.port, &format!("{tls}    Password s3cret\n"));
    lab.wait("all of it", || heard(&lab, "heard").0.len() == 1000);
    run.term().code(0);
    assert_eq!(heard(&lab, "heard").1, 1000);
    let mut run = start(&lab, server.port, "    Topic t/x\n    User me\n    Timeout 1\n    Alias other\n");
    lines(&lab, 1000, 1001);
    run.wait_stderr("is tls as it asks?");
    run.kill();
}
