//! What stands in a file of the spool: frames, each some whole lines, compressed, with checksums.
//!
//! A frame is a head of 24 bytes and a zstd frame. The head, in little endian: the magic bytes, bytes of the zstd frame, bytes of
//! the lines, their number, CRC-32 of the zstd frame, CRC-32 of the twenty bytes before. A process that dies leaves the last
//! frame torn, a disk may damage any: what is whole behind a damaged place is found again by its magic bytes.

/// Where a frame begins.
const MAGIC: [u8; 4] = *b"TGs1";

/// Bytes before the lines.
pub(crate) const HEAD_BYTES: usize = 24;

/// Lines of one frame, uncompressed. Workers hand over some 32 KiB at a time; a head that says more is damaged.
const LINES_BYTES_MAX: usize = 16 << 20;

/// Fast: the object is compressed once more, and better, when it is made.
const LEVEL: i32 = 1;

/// What is left of a file of the spool.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Whole lines.
    pub(crate) lines: Vec<u8>,
    /// Their number.
    pub(crate) records: u64,
    /// Records in damaged frames of which at least the head is whole.
    pub(crate) lost_records: u64,
    /// Bytes of the file that say nothing.
    pub(crate) lost_bytes: u64,
}

/// Appends a frame of whole lines; nothing when they are too many for one.
pub(crate) fn write(lines: &[u8], records: u32, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    if lines.len() > LINES_BYTES_MAX {
        return Err(TooLarge);
    }
    let packed = zstd::bulk::compress(lines, LEVEL).map_err(|_| TooLarge)?;
    let mut head = [0; HEAD_BYTES];
    let fields = [
        MAGIC,
        (packed.len() as u32).to_le_bytes(),
        (lines.len() as u32).to_le_bytes(),
        records.to_le_bytes(),
        crc32(&packed).to_le_bytes(),
    ];
    head.as_chunks_mut::<4>().0.iter_mut().zip(fields).for_each(|(place, field)| *place = field);
    let check = crc32(head.first_chunk::<20>().unwrap_or(&[0; 20]));
    if let Some(place) = head.last_chunk_mut::<4>() {
        *place = check.to_le_bytes();
    }
    out.extend_from_slice(&head);
    out.extend_from_slice(&packed);
    Ok(())
}

/// A batch of more lines than a frame may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Reads a file of the spool, as much of it as is whole.
pub(crate) fn read(file: &[u8]) -> Contents {
    let mut contents = Contents::default();
    walk(file, |step| match step {
        Step::Frame(head, packed) => match zstd::bulk::decompress(packed, head.lines) {
            Ok(lines) if lines.len() == head.lines => {
                contents.lines.extend_from_slice(&lines);
                contents.records += u64::from(head.records);
            }
            // The checksum was right, so this was written wrong; there is nothing to be had from it.
            _ => contents.lost_records += u64::from(head.records),
        },
        Step::Damaged(head) => contents.lost_records += u64::from(head.records),
        Step::Skipped(bytes) => contents.lost_bytes += bytes as u64,
    });
    contents
}

/// The records that a file of the spool holds, without unpacking them: those that are whole.
pub(crate) fn count(file: &[u8]) -> u64 {
    let mut records = 0;
    walk(file, |step| {
        if let Step::Frame(head, _) = step {
            records += u64::from(head.records);
        }
    });
    records
}

enum Step<'a> {
    /// A frame whose checksums are right.
    Frame(Head, &'a [u8]),
    /// A frame whose head alone is right.
    Damaged(Head),
    /// So many bytes that are no frame.
    Skipped(usize),
}

#[derive(Clone, Copy)]
struct Head {
    packed: usize,
    lines: usize,
    records: u32,
    check: u32,
}

fn walk<'a>(file: &'a [u8], mut step: impl FnMut(Step<'a>)) {
    let mut rest = file;
    while !rest.is_empty() {
        let Some((head, behind)) = head(rest) else {
            // One byte further at least, or this would not end.
            let next = rest.get(1..).and_then(|tail| memchr::memmem::find(tail, &MAGIC)).map(|at| at + 1);
            let skipped = next.unwrap_or(rest.len());
            step(Step::Skipped(skipped));
            rest = rest.get(skipped..).unwrap_or_default();
            continue;
        };
        match behind.split_at_checked(head.packed) {
            Some((packed, next)) if crc32(packed) == head.check => {
                step(Step::Frame(head, packed));
                rest = next;
            }
            _ => {
                step(Step::Damaged(head));
                // Its bytes may be wrong, or some are missing: whatever follows is looked for.
                rest = behind;
            }
        }
    }
}

fn head(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let (head, behind) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let [magic, packed, lines, records, check, own] = words(head);
    let said = head.first_chunk::<20>().is_some_and(|said| crc32(said) == own);
    let whole = magic == u32::from_le_bytes(MAGIC) && said && lines as usize <= LINES_BYTES_MAX;
    whole.then_some((Head { packed: packed as usize, lines: lines as usize, records, check }, behind))
}

fn words(head: &[u8; HEAD_BYTES]) -> [u32; 6] {
    let mut words = [0; 6];
    head.as_chunks::<4>()
        .0
        .iter()
        .zip(&mut words)
        .for_each(|(bytes, word)| *word = u32::from_le_bytes(*bytes));
    words
}

/// CRC-32 as in ISO 3309, reflected, polynomial 0xEDB88320; a table of 256 words.
fn crc32(bytes: &[u8]) -> u32 {
    #[expect(clippy::indexing_slicing, reason = "with a wrong index the constant would not compile")]
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let mut value = at as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xEDB8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[at] = value;
            at += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum, byte| {
        let place = ((sum ^ u32::from(*byte)) & 0xff) as usize;
        (sum >> 8) ^ TABLE.get(place).copied().unwrap_or_default()
    })
}

// The fuzz target has this file by a path of its own, from where theirs would be others.
#[cfg(test)]
#[path = "segment/properties.rs"]
mod properties;
#[cfg(test)]
#[path = "segment/tests.rs"]
mod tests;
