//! The header of a `.npy` file, as numpy's format description lays it out.

use rdask_store::DType;

/// Magic and version come first; the data begins at a multiple of this.
const ALIGNMENT: usize = 64;
/// Longest dictionary of version 1.0, bytes.
const VERSION_1_LIMIT: usize = 65_535;

/// Everything before the elements of an array in C order; its length is a multiple of 64.
#[must_use]
pub fn header(dtype: DType, shape: &[u64]) -> Vec<u8> {
    let mut lengths = String::new();
    for length in shape {
        lengths.push_str(&format!("{length}, "));
    }
    // A tuple of one keeps its comma, longer ones lose it.
    let lengths = match shape.len() {
        1 => lengths.trim_end(),
        _ => lengths.trim_end_matches(", "),
    };
    let dictionary =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({lengths}), }}", dtype.descr());
    let mut header = b"\x93NUMPY".to_vec();
    let padded = |before: usize| {
        let whole = before + dictionary.len() + 1;
        whole.next_multiple_of(ALIGNMENT) - before
    };
    match u16::try_from(padded(10)) {
        Ok(length) if usize::from(length) <= VERSION_1_LIMIT => {
            header.extend([1, 0]);
            header.extend(length.to_le_bytes());
        }
        _ => {
            header.extend([2, 0]);
            let length = u32::try_from(padded(12)).expect("a shape of 4 GiB of text has no place");
            header.extend(length.to_le_bytes());
        }
    }
    header.extend(dictionary.bytes());
    let end = (header.len() + 1).next_multiple_of(ALIGNMENT);
    header.resize(end - 1, b' ');
    header.push(b'\n');
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `numpy.lib.format.write_array_header_1_0` writes, by hand.
    fn expected(dictionary: &str) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(dictionary.bytes());
        bytes.resize(127, b' ');
        bytes.push(b'\n');
        bytes
    }

    #[test]
    fn shapes_of_all_ranks() {
        for (dtype, shape, text) in [
            (DType::F64, &[][..], "{'descr': '<f8', 'fortran_order': False, 'shape': (), }"),
            (DType::Bool, &[3], "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }"),
            (DType::I16, &[2, 0], "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 0), }"),
            (
                DType::C128,
                &[1, 2, 3],
                "{'descr': '<c16', 'fortran_order': False, 'shape': (1, 2, 3), }",
            ),
        ] {
            assert_eq!(header(dtype, shape), expected(text));
        }
    }

    #[test]
    fn long_headers_take_version_2() {
        let bytes = header(DType::U8, &vec![1; 40_000]);
        assert_eq!(&bytes[..8], b"\x93NUMPY\x02\x00");
        let length = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        assert_eq!(bytes.len(), 12 + length as usize);
        assert!(bytes.len().is_multiple_of(64) && bytes.ends_with(b"\n"));
    }
}
