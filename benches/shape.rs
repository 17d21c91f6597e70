//! Kernels that move elements beside a plain copy of as many bytes, in turn in one run.
//!
//! `cargo bench --bench shape`. Both write into warm memory; the ratio is the copy's time over the
//! kernel's, so 1 is a copy's speed. Medians of several rounds.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod clock;

use clock::thread_seconds;
use rdask::kernels::{Context, Kernel, parse};
use rdask_core::graph::{Param, Params};
use rdask_store::{DType, Header, Sealed, Store};
use std::path::Path;

/// Times that each side is measured; the median counts.
const ROUNDS: usize = 11;

fn list(numbers: &[i64]) -> Param {
    Param::List(numbers.iter().map(|number| Param::Int(*number)).collect())
}

fn kernel(name: &str, params: &[(&str, Param)], inputs: usize) -> Kernel {
    let params: Params =
        params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    parse(name, &params, inputs).expect("the table holds valid kernels")
}

fn filled(store: &Store, dtype: DType, shape: &[u64]) -> Sealed {
    let nbytes = shape.iter().product::<u64>() * dtype.size() as u64;
    let mut writing = store.reserve(nbytes, 0).expect("the store has no limit");
    writing.bytes_mut().iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
    writing.seal(Header::Array { dtype, shape: shape.to_vec() }).expect("sizes agree")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(store: &Store, label: &str, kernel: &Kernel, inputs: &[Sealed], threads: u32) {
    let working_directory = Path::new(".");
    let context = Context { store, priority: 0, threads, attempt: 0, rank: 0, working_directory };
    let run = || kernel.run(&context, inputs).expect("the table holds kernels that succeed");
    let nbytes = run().bytes().len();
    let source = vec![1_u8; nbytes];
    let mut target = vec![0_u8; nbytes];
    let (mut ours, mut copies) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = thread_seconds();
        let result = run();
        ours.push(thread_seconds() - start);
        drop(result);
        let start = thread_seconds();
        std::hint::black_box(&mut target).copy_from_slice(std::hint::black_box(&source));
        copies.push(thread_seconds() - start);
    }
    let (ours, copy) = (median(ours), median(copies));
    let speed = nbytes as f64 / ours / 1e9;
    println!("{label:44} {:9.3} ms {speed:7.2} GB/s {:6.2} of a copy", ours * 1e3, copy / ours);
}

fn main() {
    let store = Store::new(0);
    for dtype in [DType::U8, DType::F16, DType::F32, DType::F64, DType::C128] {
        for shape in [[1000, 1000], [2048, 2048], [4000, 1000]] {
            let input = filled(&store, dtype, &shape);
            let label = format!("transpose {} {}×{}", dtype.name(), shape[0], shape[1]);
            measure(&store, &label, &kernel("transpose", &[], 1), &[input], 1);
        }
    }
    let cube = filled(&store, DType::F64, &[100, 200, 150]);
    for axes in [[2, 1, 0], [0, 2, 1], [1, 0, 2], [2, 0, 1], [1, 2, 0]] {
        let label = format!("transpose f64 100×200×150 {axes:?}");
        let turned = kernel("transpose", &[("axes", list(&axes))], 1);
        measure(&store, &label, &turned, std::slice::from_ref(&cube), 1);
    }
    let square = filled(&store, DType::F64, &[2000, 2000]);
    let pair = [square.clone(), square];
    let axis = |axis| [("axis", Param::Int(axis))];
    let inner = Param::List(vec![list(&[100, 1900]), list(&[50, 1950])]);
    let steps = Param::List(vec![Param::Null, list(&[0, 2000, 2])]);
    let indices: Vec<i64> = (0..2000).map(|index| index * 7 % 2000).collect();
    let taken = |axis| [("axis", Param::Int(axis)), ("indices", list(&indices))];
    let rolled = [("shift", list(&[300, -300])), ("axis", list(&[0, 1]))];
    for (label, kernel, inputs) in [
        ("concatenate f64 2×2000×2000, axis 0", kernel("concatenate", &axis(0), 2), &pair[..]),
        ("concatenate f64 2×2000×2000, axis 1", kernel("concatenate", &axis(1), 2), &pair[..]),
        ("stack f64 2×2000×2000, axis −1", kernel("stack", &axis(-1), 2), &pair[..]),
        ("slice f64 [100:1900, 50:1950]", kernel("slice", &[("ranges", inner)], 1), &pair[..1]),
        ("slice f64 [:, ::2]", kernel("slice", &[("ranges", steps)], 1), &pair[..1]),
        ("pad f64 2000×2000 by 3", kernel("pad", &[("widths", Param::Int(3))], 1), &pair[..1]),
        ("roll f64 2000×2000, both axes", kernel("roll", &rolled, 1), &pair[..1]),
        ("flip f64 2000×2000, axis 0", kernel("flip", &axis(0), 1), &pair[..1]),
        ("flip f64 2000×2000, axis 1", kernel("flip", &axis(1), 1), &pair[..1]),
        ("take f64 2000 rows", kernel("take", &taken(0), 1), &pair[..1]),
        ("take f64 2000 columns", kernel("take", &taken(1), 1), &pair[..1]),
        ("reshape f64", kernel("reshape", &[("shape", list(&[-1]))], 1), &pair[..1]),
    ] {
        measure(&store, label, &kernel, inputs, 1);
    }
    measure(
        &store,
        "transpose f64 2000×2000, 2 threads",
        &kernel("transpose", &[], 1),
        &pair[..1],
        2,
    );
}
