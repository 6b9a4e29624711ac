use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use super::*;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_file_is_made_private_and_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    Output::file(&path).unwrap().write(b"one\n").unwrap();
    Output::file(&path).unwrap().write(b"two\n").unwrap();
    assert_eq!(read(&path), "one\ntwo\n");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & !0o640, 0, "{mode:o}");
}

#[test]
fn a_rotated_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
    let mut output = Output::file(&path).unwrap();
    output.write(b"one\n").unwrap();
    assert!(!output.moved_away());

    std::fs::rename(&path, &old).unwrap();
    assert!(output.moved_away());
    output.reopen().unwrap();
    assert!(!output.moved_away());
    output.write(b"two\n").unwrap();
    assert_eq!((read(&old), read(&path)), ("one\n".to_owned(), "two\n".to_owned()));

    std::fs::remove_file(&path).unwrap();
    assert!(output.moved_away());
    std::fs::write(&path, "another\n").unwrap();
    assert!(output.moved_away(), "the same name is not the same file");
}

#[test]
fn a_path_that_cannot_be_opened_again_leaves_the_old_file_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, moved) = (dir.path().join("logs"), dir.path().join("moved"));
    std::fs::create_dir(&logs).unwrap();
    let mut output = Output::file(&logs.join("access.log")).unwrap();
    std::fs::rename(&logs, &moved).unwrap();
    assert!(output.moved_away());
    assert!(output.reopen().is_err());
    output.write(b"kept\n").unwrap();
    assert_eq!(read(&moved.join("access.log")), "kept\n");
}

#[test]
fn what_cannot_be_opened_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("missing/access.log"), dir.path().to_owned()] {
        let error = Output::file(&path).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_named_pipe_is_refused_instead_of_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(Output::file(&path).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_full_disk_is_an_error_that_says_how_far_it_came() {
    let mut output = Output::file(Path::new("/dev/full")).unwrap();
    let error = output.write(b"one\n").unwrap_err();
    assert_eq!((error.written, error.source.kind()), (0, ErrorKind::StorageFull));
    assert!(!output.torn);
}

#[test]
fn a_reader_that_leaves_in_the_middle_of_a_line_tears_it() {
    let (mut near, far) = UnixStream::pair().unwrap();
    let mut output = Output::stream(File::from(OwnedFd::from(far)));
    let reader = std::thread::spawn(move || near.read_exact(&mut [0; 1000]).unwrap());
    // No line feed but at the end: wherever the reader stops, it is inside a line.
    let mut lines = vec![b'x'; 8 << 20];
    lines.push(b'\n');
    let error = output.write(&lines).unwrap_err();
    reader.join().unwrap();
    assert!((1000..lines.len()).contains(&error.written), "{}", error.written);
    assert!(output.torn);
}

#[test]
fn after_a_torn_line_the_next_one_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    std::fs::write(&path, "{\"half").unwrap();
    let mut output = Output { torn: true, ..Output::file(&path).unwrap() };
    output.write(b"{}\n").unwrap();
    output.write(b"{}\n").unwrap();
    assert_eq!(read(&path), "{\"half\n{}\n{}\n");
}

#[test]
fn a_non_blocking_stream_gets_everything_however_slowly_it_is_read() {
    let (mut near, far) = UnixStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let mut output = Output::stream(File::from(OwnedFd::from(far)));
    let lines: Vec<u8> = (0..200_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        near.read_to_end(&mut seen).unwrap();
        seen
    });
    output.write(&lines).unwrap();
    drop(output);
    assert!(reader.join().unwrap() == lines);
}
