//! Our output and our input beside each other.

use super::{STDOUT, listen};
use crate::lab::{Done, Lab, free_port, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

/// Sends lines of JSON through a forward output.
fn send(lab: &Lab, port: u16, keys: &str, lines: &str) -> Done {
    lab.write(
        "send.conf",
        format!(
            "[SERVICE]\n    Flush 0.05\n    Grace 10\n[INPUT]\n    Name stdin\n    Tag a.b\n[OUTPUT]\n    Name forward\n    Match *\n    \
             Host 127.0.0.1\n    Port {port}\n{keys}"
        ),
    );
    lab.command(&["-c", "send.conf"]).stdin(lines).start().wait().code(0)
}

#[test]
fn every_way_of_sending_arrives() {
    let lab = Lab::new("forward-pair");
    let port = free_port();
    let out = "[OUTPUT]\n    Name stdout\n    Match a.b\n    Format json_lines\n    Json_Date_Format epoch_ms\n\
               [OUTPUT]\n    Name stdout\n    Match new.*\n    Format json_lines\n    Json_Date_Format epoch_ms\n    Alias new\n";
    let mut run = listen(&lab, port, "", out);
    for (i, keys) in [
        "",
        "    Require_Ack_Response on\n",
        "    Compress gzip\n    Require_Ack_Response on\n",
        "    Compress zstd\n",
        "    Time_as_Integer on\n    Send_Options on\n",
        "    Tag new.$TAG[1]\n",
        "    Tag new.$t\n    Require_Ack_Response on\n    Add_Option k v\n",
    ]
    .into_iter()
    .enumerate()
    {
        let lines: String = (0..300).map(|n| format!("[[1.5,{{\"m\":{n}}}],{{\"n\":{n},\"t\":\"q{i}\"}}]\n")).collect();
        send(&lab, port, keys, &lines).says(&["output forward.0: 300 records"]);
        let ms = if keys.contains("Integer") { 1000 } else { 1500 };
        let line =
            format!("{{\"date\":{ms},\"__internal__\":{{\"log_metadata\":{{\"m\":299}}}},\"n\":299,\"t\":\"q{i}\"}}");
        run.wait_for(keys, |run| {
            run.stdout().matches(&format!("\"t\":\"q{i}\"")).count() == 300 && run.stdout().contains(&line)
        });
    }
    run.term().code(0).says(&["input forward.0: 2100 records"]);
}

/// An authority and what it signs: files of this name in the lab.
fn certificates(lab: &Lab) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    lab.write("ca.pem", ca.pem());
    for (name, usage) in
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        lab.write(&format!("{name}.crt"), params.signed_by(&key, &ca).unwrap().pem());
        lab.write(&format!("{name}.key"), key.serialize_pem());
    }
}

#[test]
fn mutual_tls_a_shared_key_and_users() {
    let lab = Lab::new("forward-secure");
    certificates(&lab);
    let port = free_port();
    let keys = "    tls on\n    tls.crt_file server.crt\n    tls.key_file server.key\n    tls.ca_file ca.pem\n    \
                tls.verify_client_cert on\n    Shared_Key k\n    Security.Users u p\n";
    let mut run = listen(&lab, port, keys, STDOUT);
    let tls = "    tls on\n    tls.ca_file ca.pem\n    Require_Ack_Response on\n    Retry_Limit no_retries\n";
    let mine = "    tls.crt_file client.crt\n    tls.key_file client.key\n";
    for (n, keys, said) in [
        (1, format!("{tls}{mine}    Shared_Key k\n    Username u\n    Password p\n"), "output forward.0: 1 records"),
        (2, format!("{tls}{mine}    Shared_Key q\n    Username u\n    Password p\n"), "refused: shared_key mismatch"),
        (
            3,
            format!("{tls}{mine}    Shared_Key k\n    Username u\n    Password x\n"),
            "refused: username/password mismatch",
        ),
        (4, format!("{tls}{mine}"), "the server wants a handshake: set Shared_Key"),
        (5, format!("{tls}    Shared_Key k\n    Username u\n    Password p\n"), "forward.0"),
    ] {
        send(&lab, port, &keys, &format!("{{\"n\":{n}}}")).says(&[said]);
    }
    run.wait_stdout("{\"n\":1}");
    assert_eq!(run.stdout().lines().count(), 1, "{}", run.stdout());
    run.term().code(0).says(&["3 refused peers"]);
}

#[test]
fn a_receiver_that_is_killed_loses_nothing() {
    const LINES: u32 = 60_000;
    for storage in ["memory", "filesystem"] {
        let lab = Lab::new("forward-kill");
        let port = free_port();
        let mut text = String::new();
        for n in 0..LINES {
            writeln!(text, "{n:08} some text that makes this line as long as lines are").unwrap();
        }
        lab.write("in.log", text);
        lab.write(
            "send.conf",
            format!(
                "[SERVICE]\n    Flush 0.05\n    Grace 60\n    scheduler.base 1\n    scheduler.cap 1\n[INPUT]\n    Name tail\n    Path in.log\n    \
                 Read_from_Head on\n    Exit_On_Eof on\n[OUTPUT]\n    Name forward\n    Match *\n    Host 127.0.0.1\n    Port {port}\n    \
                 Require_Ack_Response on\n"
            ),
        );
        let receive = format!(
            "[SERVICE]\n    Flush 0.05\n    storage.path chunks\n[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n    \
             storage.type {storage}\n[OUTPUT]\n    Name file\n    Match *\n    File out\n    Format json_lines\n    Json_Date_Key false\n"
        );
        let mut receiver = lab.start(&receive);
        receiver.wait_stderr("listening on");
        let sender = lab.spawn(&["-c", "send.conf"]);
        let whole = u64::from(LINES) * 66;
        let mut kills = 0;
        for share in [10, 35, 60] {
            let so_far = || std::fs::metadata(lab.path("out")).map_or(0, |m| m.len());
            if !until(|| so_far() > whole * share / 100) {
                break;
            }
            kills += u32::from(so_far() < whole);
            receiver.kill();
            std::thread::sleep(Duration::from_millis(200));
            receiver = lab.start(&receive);
            receiver.wait_stderr("listening on");
        }
        sender.wait().code(0).says(&[&format!("output forward.0: {LINES} records")]);
        receiver.term().code(0);
        let out = lab.read("out");
        // A kill may cut the last line of the file; the next one then stands behind it.
        let whole: Vec<&str> = out.split("{\"log\":\"").filter(|l| l.contains("lines are\"")).collect();
        let seen: HashSet<&str> = whole.iter().filter_map(|l| l.get(..8)).collect();
        assert_eq!(seen.len(), LINES as usize, "{storage}: lost after {kills} kills");
        let again = whole.len() - seen.len();
        eprintln!("forward, {storage}: {LINES} lines, {kills} kills in the middle, 0 lost, {again} twice");
        assert!(kills > 0);
    }
}

#[test]
fn nodes_of_an_upstream_file_replace_each_other() {
    let lab = Lab::new("forward-upstream");
    let ports = [free_port(), free_port()];
    let node = |i: usize| format!("[NODE]\n    Name n{i}\n    Host 127.0.0.1\n    Port {}\n", ports[i]);
    lab.write("upstream.conf", format!("[UPSTREAM]\n    Name both\n{}    Shared_Key k\n{}", node(0), node(1)));
    let mut one = listen(&lab, ports[0], "    Shared_Key k\n", STDOUT);
    let mut two = listen(&lab, ports[1], "", STDOUT);
    lab.write(
        "send.conf",
        "[SERVICE]\n    Flush 0.05\n    Grace 10\n[INPUT]\n    Name dummy\n    Rate 20\n    Samples 60\n    Dummy {\"a\":1}\n[OUTPUT]\n    Name forward\n    \
         Match *\n    Upstream upstream.conf\n    Require_Ack_Response on\n",
    );
    let mut sender = lab.spawn(&["-c", "send.conf"]);
    one.wait_stdout("{\"a\":1}");
    two.wait_stdout("{\"a\":1}");
    let got = one.kill().report().matches("{\"a\":1}").count();
    sender.wait_stderr("node 'n0' is left out for 1s");
    two.wait_for("the rest", |two| two.stdout().lines().count() + got >= 60);
    sender.term().code(0).says(&["output forward.0: 60 records"]);
    two.term().code(0);
}
