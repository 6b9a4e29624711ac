//! What holds for any bytes at all as a file of the spool. Used by the fuzz target, and by the tests here on its seeds.

use crate::segment::{Contents, HEAD_BYTES, count, read, write};

/// Any bytes as a file that a crash or a bad disk has left. Whether there is a record in it.
pub(crate) fn spool(bytes: &[u8]) -> bool {
    let contents = read(bytes);
    assert!(contents.lost_bytes <= bytes.len() as u64, "{contents:?}");
    // What is counted without unpacking is what is there, but for frames that were written wrong.
    assert!(count(bytes) <= contents.records + contents.lost_records, "{contents:?}");
    assert_eq!(read(bytes), contents);

    // Records that were written whole are read, whatever stands before and behind them.
    let lines: &[u8] = b"{\"route\":\"a\"}\n{\"route\":\"b\"}\n";
    let mut frame = Vec::new();
    write(lines, 2, &mut frame).expect("few lines");
    let alone = Contents { lines: lines.to_vec(), records: 2, ..Contents::default() };
    assert_eq!(read(&frame), alone);
    let behind = read(&[&frame[..], bytes].concat());
    assert!(behind.lines.starts_with(lines) && behind.records == contents.records + 2, "{behind:?}");
    let before = read(&[bytes, &frame].concat());
    assert!(before.records >= 2 && before.lines.ends_with(lines), "{before:?}");

    // The file's own lines, written anew and torn anywhere, are read whole or not at all.
    // Turned into something else first: a frame inside of a frame would be found when the outer one is damaged.
    let own: Vec<u8> = bytes.iter().take(1 << 10).map(|byte| byte ^ 0x55).collect();
    let mut file = frame.clone();
    write(&own, 1, &mut file).expect("few lines");
    let cut = frame.len() + bytes.first().map_or(0, |byte| usize::from(*byte)) % (file.len() - frame.len());
    let torn = read(&file[..cut]);
    assert_eq!((torn.lines.as_slice(), torn.records), (lines, 2), "cut at {cut}");
    let head_is_whole = cut >= frame.len() + HEAD_BYTES;
    assert_eq!(torn.lost_records, u64::from(head_is_whole), "cut at {cut}");

    // One bit that turned costs its frame and no other.
    let mut turned = file.clone();
    turned.extend_from_slice(&frame);
    turned[cut] ^= 1 << (cut % 8);
    let turned = read(&turned);
    let clean = turned.lines.starts_with(lines) && turned.lines.ends_with(lines);
    assert!(clean && turned.records == 4, "{turned:?}");
    contents.records > 0
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn files_of_the_spool() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/spool");
        let (mut good, mut bad) = (0, 0);
        for file in fs::read_dir(folder).unwrap() {
            let seed = fs::read(file.unwrap().path()).unwrap();
            for at in 0..=seed.len().min(200) {
                let mut changed = seed.clone();
                // The last one is the seed itself.
                if let Some(byte) = changed.get_mut(at) {
                    *byte ^= 1 << (at % 8);
                }
                if spool(&changed) { good += 1 } else { bad += 1 }
            }
        }
        assert!(good >= 4 && bad >= 4, "{good} hold a record, {bad} do not");
    }
}
