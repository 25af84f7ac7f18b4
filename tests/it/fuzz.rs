//! The fuzz targets on a stable compiler: their seeds, then mutations of them, always the same ones.

use std::fs;
use std::path::Path;

/// Mutations of each seed set; FUZZ_ROUNDS asks for more, FUZZ_SEED for others.
const ROUNDS: usize = 1000;

/// Numbers that look random (an xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// Runs a target over its seeds and what becomes of them.
fn replay(name: &str, target: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut paths: Vec<_> = fs::read_dir(&dir).unwrap().flatten().map(|e| e.path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|p| fs::read(p).unwrap()).collect();
    assert!(seeds.len() >= 4, "{}", dir.display());
    for (seed, path) in seeds.iter().zip(&paths) {
        guarded(target, seed, &path.display().to_string());
        for cut in 0..seed.len() {
            guarded(target, &seed[..cut], &format!("{} cut at {cut}", path.display()));
        }
    }
    let asked = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let mut random = Random(asked("FUZZ_SEED").unwrap_or(0x5EED) as u64);
    for round in 0..asked("FUZZ_ROUNDS").unwrap_or(ROUNDS) {
        let data = mutate(&seeds, &mut random);
        guarded(target, &data, &format!("mutation {round}"));
    }
}

/// Says which bytes did it.
fn guarded(target: fn(&[u8]), data: &[u8], what: &str) {
    if std::panic::catch_unwind(|| target(data)).is_err() {
        panic!("{what}: {:?}", String::from_utf8_lossy(data));
    }
}

/// One seed with a few bytes changed, taken out, put in, repeated, or taken from another.
fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const BYTES: &[u8] = b"\0\t\n\r \"#$%()*+-./09:;<=?@AZ[\\]^_az{|}~\x7f\x80\x92\xa1\xc0\xc3\xd7\xdf\xff";
    let mut data = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let (at, len) = (random.below(data.len() + 1), random.below(8));
        let to = (at + len).min(data.len());
        match random.below(6) {
            0 => _ = data.drain(at..to),
            1 => data.insert(at, BYTES[random.below(BYTES.len())]),
            2 if at < data.len() => data[at] = BYTES[random.below(BYTES.len())],
            3 if at < data.len() => data[at] ^= 1 << random.below(8),
            4 => {
                let piece = data[at..to].to_vec();
                for _ in 0..=random.below(4) {
                    data.splice(at..at, piece.iter().copied());
                }
            }
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let piece = other[from..(from + 1 + random.below(24)).min(other.len())].to_vec();
                data.splice(at..at, piece);
            }
        }
    }
    data
}

#[test]
fn configurations() {
    replay("ini", collector::fuzz::ini);
}

#[test]
fn json() {
    replay("json", collector::fuzz::json);
}

#[test]
fn times() {
    replay("strptime", collector::fuzz::strptime);
}

#[test]
fn patterns() {
    replay("regex", collector::fuzz::regex);
}

#[test]
fn forward() {
    replay("forward", collector::fuzz::forward);
}

#[test]
fn msgpack() {
    replay("msgpack", collector::fuzz::msgpack);
}

#[test]
fn chunk_files() {
    replay("chunk", collector::fuzz::chunk);
}

#[test]
fn rejected_records() {
    replay("rejected", collector::fuzz::rejected);
}

#[test]
fn journals() {
    replay("journal", collector::fuzz::journal);
}

#[test]
fn replies_of_redis() {
    replay("resp", collector::fuzz::resp);
}

#[test]
fn layers() {
    replay("layers", collector::fuzz::layers);
}

#[test]
fn syslog() {
    replay("syslog", collector::fuzz::syslog);
}

#[test]
fn lumberjack() {
    replay("lumberjack", collector::fuzz::lumberjack);
}

#[test]
fn dns() {
    replay("dns", collector::fuzz::dns);
}

#[test]
fn dns_reply() {
    replay("dns_reply", collector::fuzz::dns_reply);
}

#[test]
fn http() {
    replay("http", collector::fuzz::http);
}

#[test]
fn http_server() {
    replay("http_server", collector::fuzz::http_server);
}

#[test]
fn otlp_answer() {
    replay("otlp_answer", collector::fuzz::otlp_answer);
}

#[test]
fn icmp() {
    replay("icmp", collector::fuzz::icmp);
}

#[test]
fn capture() {
    replay("capture", collector::fuzz::capture);
}

#[test]
fn tls() {
    replay("tls", collector::fuzz::tls);
}

#[test]
fn kafka() {
    replay("kafka", collector::fuzz::kafka);
}

#[test]
fn mqtt() {
    replay("mqtt", collector::fuzz::mqtt);
}

#[test]
fn kube_api() {
    replay("kube_api", collector::fuzz::kube_api);
}

/// Every target of the fuzz workspace is replayed here.
#[test]
fn no_target_is_left_out() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "capture.rs",
            "chunk.rs",
            "dns.rs",
            "dns_reply.rs",
            "forward.rs",
            "http.rs",
            "http_server.rs",
            "icmp.rs",
            "ini.rs",
            "journal.rs",
            "json.rs",
            "kafka.rs",
            "kube_api.rs",
            "layers.rs",
            "lumberjack.rs",
            "mqtt.rs",
            "msgpack.rs",
            "otlp_answer.rs",
            "regex.rs",
            "rejected.rs",
            "resp.rs",
            "strptime.rs",
            "syslog.rs",
            "tls.rs"
        ]
    );
}
