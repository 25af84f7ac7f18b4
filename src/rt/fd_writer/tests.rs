//! Pipes, sockets, files and full disks.

use super::*;
use crate::rt::{run, sleep, timeout};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

fn lines(n: usize) -> Vec<u8> {
    (0..n).flat_map(|i| format!("line {i} of many\n").into_bytes()).collect()
}

/// Everything arrives although the reader is slow, a timer still fires meanwhile, and flags stay untouched.
fn check(read: OwnedFd, write: OwnedFd, way: Way) {
    let sent = lines(40_000);
    let want = sent.clone();
    let reader = std::thread::spawn(move || {
        let (mut got, mut buf, mut file) = (Vec::new(), [0; 8192], File::from(read));
        std::thread::sleep(Duration::from_millis(30));
        while let Ok(n @ 1..) = file.read(&mut buf) {
            got.extend_from_slice(&buf[..n]);
        }
        got
    });
    let before = rustix::fs::fcntl_getfl(&write).unwrap();
    run(async {
        let w = match way {
            Way::Polled => FdWriter::with(write.try_clone().unwrap(), FileType::Fifo, way),
            _ => FdWriter::new(write.as_fd()).unwrap(),
        };
        assert_eq!(w.way, way);
        let ticks = Rc::new(Cell::new(0));
        let t = ticks.clone();
        let _ticker = spawn(async move {
            loop {
                sleep(Duration::from_millis(2)).await;
                t.set(t.get() + 1);
            }
        });
        let mut written = 0;
        w.write_all(&sent, &mut written).await.unwrap();
        assert_eq!(written, sent.len());
        assert!(ticks.get() >= 5, "{way:?}: the event thread was blocked ({} ticks)", ticks.get());
    })
    .unwrap();
    assert_eq!(rustix::fs::fcntl_getfl(&write).unwrap(), before);
    drop(write);
    assert!(reader.join().unwrap() == want, "{way:?}: other bytes arrived");
}

#[test]
fn pipes_and_sockets_wait_without_blocking() {
    for way in [Way::Own, Way::Polled] {
        let (r, w) = rustix::pipe::pipe().unwrap();
        check(r, w, way);
    }
    let (r, w) = UnixStream::pair().unwrap();
    check(r.into(), w.into(), Way::Socket);
}

#[test]
fn a_reader_that_went_away_and_a_full_disk_are_told_apart() {
    let fails = |fd: OwnedFd| {
        run(async move {
            let mut written = 0;
            let w = FdWriter::new(fd.as_fd()).unwrap();
            w.write_all(b"x\n", &mut written).await.unwrap_err().kind()
        })
        .unwrap()
    };
    let (r, w) = rustix::pipe::pipe().unwrap();
    drop(r);
    assert_eq!(fails(w), ErrorKind::BrokenPipe);
    let (r, w) = UnixStream::pair().unwrap();
    drop(r);
    assert_eq!(fails(w.into()), ErrorKind::BrokenPipe);
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(fails(full.into()), ErrorKind::StorageFull);
}

#[test]
fn a_file_is_cut_back_to_what_it_held() {
    // A limit on the file's size stands for a full disk; it is the process's, so another process writes.
    if std::env::var_os("COLLECTOR_TEST_FSIZE").is_none() {
        let name = "rt::fd_writer::tests::a_file_is_cut_back_to_what_it_held";
        let me = std::env::current_exe().unwrap();
        let script = format!("ulimit -f 1024; COLLECTOR_TEST_FSIZE=1 exec '{}' --exact {name}", me.display());
        let out = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
        return;
    }
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, seen).unwrap();
    let path = std::env::temp_dir().join(format!("collector-cut-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    run(async {
        let opened = FdWriter::append(&path).unwrap();
        let inherited = File::options().write(true).open(&path).unwrap();
        let mut written = 0;
        opened.write_all(b"first\n", &mut written).await.unwrap();
        let block = lines(60_000);
        assert!(block.len() > 1024 * 1024, "more than fits");
        let mut end = &inherited;
        end.seek(std::io::SeekFrom::End(0)).unwrap();
        for w in [opened, FdWriter::new(inherited.as_fd()).unwrap()] {
            let mut written = 0;
            let kind = w.write_all(&block, &mut written).await.unwrap_err().kind();
            assert_eq!((kind, written), (ErrorKind::FileTooLarge, 0));
            assert_eq!(std::fs::read(&path).unwrap(), b"first\n");
        }
        (&inherited).write_all(b"next\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first\nnext\n");
    })
    .unwrap();
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn named_pipes_need_a_reader() {
    let path = std::env::temp_dir().join(format!("collector-fifo-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert_eq!(FdWriter::append(&path).unwrap_err().kind(), ErrorKind::NotConnected);
    let reader = path.clone();
    let reader = std::thread::spawn(move || std::fs::read(reader).unwrap());
    run(async {
        let w = loop {
            match FdWriter::append(&path) {
                Ok(w) => break w,
                Err(_) => sleep(Duration::from_millis(1)).await,
            }
        };
        w.write_all(&lines(10_000), &mut 0).await.unwrap();
    })
    .unwrap();
    assert!(reader.join().unwrap() == lines(10_000));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_reader_that_leaves_while_we_wait_ends_the_wait() {
    let (r, w) = rustix::pipe::pipe().unwrap();
    let kind = run(async move {
        let w = Rc::new(FdWriter::new(w.as_fd()).unwrap());
        let writing = spawn(async move {
            let mut written = 0;
            w.write_all(&lines(20_000), &mut written).await.unwrap_err().kind()
        });
        sleep(Duration::from_millis(20)).await;
        drop(r);
        timeout(Duration::from_secs(5), writing).await
    })
    .unwrap();
    assert_eq!(kind, Some(ErrorKind::BrokenPipe));
}

#[test]
fn two_writers_do_not_mix_their_records() {
    let (r, w) = rustix::pipe::pipe().unwrap();
    let reader = std::thread::spawn(move || {
        let mut got = String::new();
        File::from(r).read_to_string(&mut got).unwrap();
        got
    });
    run(async move {
        let w = Rc::new(FdWriter::new(w.as_fd()).unwrap());
        let write = |c: char| {
            let w = w.clone();
            spawn(async move {
                let long = c.to_string().repeat(200_000) + "\n";
                w.write_all(long.as_bytes(), &mut 0).await.unwrap();
            })
        };
        let (a, b) = (write('a'), write('b'));
        a.await;
        b.await;
    })
    .unwrap();
    let got = reader.join().unwrap();
    assert_eq!(got.lines().count(), 2);
    assert!(got.lines().all(|l| l.len() == 200_000 && l.bytes().all(|b| b == l.as_bytes()[0])));
}

#[test]
fn posting_is_bounded_and_in_order() {
    let (r, w) = rustix::pipe::pipe().unwrap();
    run(async move {
        let inherited = w;
        let w = Rc::new(FdWriter::new(inherited.as_fd()).unwrap());
        drop(inherited);
        let mut sent = Vec::new();
        let block = lines(1000);
        // A pipe holds 64 KiB; then 100 kB may wait.
        while w.post(&block, 100_000) {
            sent.extend_from_slice(&block);
        }
        assert!((100_000..300_000).contains(&sent.len()), "{}", sent.len());
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            File::from(r).read_to_end(&mut got).unwrap();
            got
        });
        timeout(Duration::from_secs(5), w.settle()).await.expect("written");
        assert!(w.post(b"end\n", 100_000));
        drop(w);
        sent.extend_from_slice(b"end\n");
        assert!(reader.join().unwrap() == sent);
    })
    .unwrap();
}

#[test]
fn pieces_end_with_a_line_where_one_fits() {
    assert_eq!(piece(b"a\nb"), b"a\nb");
    let long = [vec![b'x'; 4000], b"\n".to_vec(), vec![b'y'; 4000]].concat();
    assert_eq!(piece(&long).len(), 4001);
    assert_eq!(piece(&[b'z'; 5000]).len(), 4096);
}
