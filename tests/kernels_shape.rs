//! The kernels that move elements against numpy, for every dtype, and the same bytes from any
//! number of threads.

use crate::kernels::{array, context, params};
use crate::kernels_oracle::{Case, Class, check};
use crate::kernels_random::{Chance, Fill, case, given};
use rdask::kernels::parse;
use rdask_store::{DType, Store};
use serde_json::{Value, json};

/// Cases of each kernel; the promise is at least 200.
const CASES: usize = 240;

/// Cases of a kernel of one input, whose parameters follow from its shape.
fn of_one(
    seed: u64,
    kernel: &'static str,
    parameters: impl Fn(&mut Chance, &[u64], DType) -> Value,
) -> Vec<Case> {
    let chance = &mut Chance::new(seed);
    let dtypes: Vec<DType> = DType::all().collect();
    (0..CASES)
        .map(|round| {
            let dtype = dtypes[round % dtypes.len()];
            let shape = chance.shape();
            let parameters = parameters(chance, &shape, dtype);
            let input = given(chance, dtype, &shape, Fill::Wild);
            case(kernel, parameters, vec![input], Class::Exact)
        })
        .collect()
}

/// One axis of `count`, sometimes one that does not exist.
fn axis(chance: &mut Chance, count: usize) -> i64 {
    chance.below(2 * count + 1) as i64 - count as i64
}

/// An axis, a list of axes, or null.
fn axes(chance: &mut Chance, count: usize) -> Value {
    match chance.below(4) {
        0 => Value::Null,
        1 => json!(axis(chance, count)),
        _ => {
            let chosen = (0..count as i64).filter(|_| chance.one_in(2)).collect::<Vec<_>>();
            let signed = chosen
                .into_iter()
                .map(|axis| if chance.one_in(3) { axis - count as i64 } else { axis });
            let mut signed: Vec<i64> = signed.collect();
            if chance.one_in(12) {
                signed.extend(signed.first().copied());
            }
            json!(signed)
        }
    }
}

#[test]
fn transpose_flip_slice() {
    let mut cases = of_one(31, "transpose", |chance, shape, _| {
        let mut order: Vec<i64> = (0..shape.len() as i64).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, chance.below(last + 1));
        }
        if chance.one_in(15) {
            order.push(axis(chance, shape.len()));
        }
        if chance.one_in(5) { json!({}) } else { json!({"axes": order}) }
    });
    cases.extend(of_one(32, "flip", |chance, shape, _| json!({"axis": axes(chance, shape.len())})));
    cases.extend(of_one(33, "slice", |chance, shape, _| {
        let ranges: Vec<Value> = shape
            .iter()
            .map(|length| {
                let length = *length as usize;
                let mut bound = || json!(chance.below(3 * length + 4) as i64 - length as i64 - 2);
                let (start, stop) = (bound(), bound());
                let step = chance.pick(&[1, 2, 3, -1, -2, 1000]);
                if chance.one_in(3) { Value::Null } else { json!([start, stop, step]) }
            })
            .collect();
        json!({"ranges": ranges})
    }));
    check(&cases);
}

/// Shapes with one axis longer than a cache, and with sides that fill no tile.
#[test]
fn long_and_odd_sides() {
    let chance = &mut Chance::new(34);
    let mut cases = Vec::new();
    let shapes: [&[u64]; 8] = [
        &[1, 70_001],
        &[70_001, 1],
        &[3, 20_001],
        &[20_001, 3],
        &[65, 67],
        &[2, 33, 100],
        &[130, 1, 129],
        &[7, 31, 33, 5],
    ];
    for shape in shapes {
        for dtype in [DType::U8, DType::F16, DType::F32, DType::I64, DType::C128] {
            let input = given(chance, dtype, shape, Fill::Wild);
            let turned: Vec<usize> = (1..shape.len()).chain([0]).collect();
            for parameters in [json!({}), json!({"axes": turned})] {
                let one = case("transpose", parameters, vec![input.clone()], Class::Exact);
                cases.push(one);
            }
            let last = shape.len() - 1;
            let pair = vec![input.clone(), input.clone()];
            for along in 0..shape.len() {
                let side = json!({"axis": along});
                cases.push(case("concatenate", side.clone(), pair.clone(), Class::Exact));
                cases.push(case("stack", side, pair.clone(), Class::Exact));
                let roll = json!({"axis": along, "shift": 3});
                cases.push(case("roll", roll, vec![input.clone()], Class::Exact));
            }
            cases.push(case("flip", json!({"axis": last}), vec![input], Class::Exact));
        }
    }
    check(&cases);
}

#[test]
fn other_shapes() {
    let mut cases = of_one(35, "reshape", |chance, shape, _| {
        let count: u64 = shape.iter().product();
        let divisors: Vec<u64> = (1..=count.min(64)).filter(|x| count.is_multiple_of(*x)).collect();
        let first = if divisors.is_empty() { 0 } else { chance.pick(&divisors) };
        let rest = count.checked_div(first).unwrap_or(0) as i64;
        let first = first as i64;
        let chosen = match chance.below(8) {
            0 => vec![-1],
            1 => vec![first, rest],
            2 => vec![first, 1, -1],
            3 => vec![-1, first],
            4 => vec![rest, first, 1, 1],
            5 => vec![0, -1],
            6 => vec![first, rest + 1],
            _ => return json!({"shape": count}),
        };
        json!({"shape": chosen})
    });
    cases.extend(of_one(36, "expand_dims", |chance, shape, _| {
        let new = 1 + chance.below(3);
        if chance.one_in(3) {
            return json!({"axis": axis(chance, shape.len() + 1)});
        }
        let list: Vec<i64> = (0..new).map(|_| axis(chance, shape.len() + new)).collect();
        json!({"axis": list})
    }));
    cases.extend(of_one(37, "squeeze", |chance, shape, _| {
        let ones: Vec<usize> = (0..shape.len()).filter(|axis| shape[*axis] == 1).collect();
        match chance.below(3) {
            0 => json!({}),
            1 => json!({"axis": ones}),
            _ => json!({"axis": axes(chance, shape.len())}),
        }
    }));
    cases.extend(of_one(38, "broadcast_to", |chance, shape, _| {
        let mut target: Vec<u64> = shape
            .iter()
            .map(|length| if *length == 1 { chance.pick(&[1, 2, 5]) } else { *length })
            .collect();
        for _ in 0..chance.below(3) {
            target.insert(0, chance.pick(&[0, 1, 3]));
        }
        if let Some(length) = target.last_mut()
            && chance.one_in(10)
        {
            *length += 1;
        }
        if chance.one_in(15) {
            target.pop();
        }
        json!({"shape": target})
    }));
    check(&cases);
}

#[test]
fn take_pad_roll() {
    let mut cases = of_one(39, "take", |chance, shape, _| {
        let whole = chance.one_in(4);
        let axis = axis(chance, shape.len());
        let count = shape.len() as i64;
        let length = match usize::try_from(if axis < 0 { axis + count } else { axis }) {
            _ if whole => shape.iter().product(),
            Ok(axis) if axis < shape.len() => shape[axis],
            _ => 1,
        };
        let slack = usize::from(chance.one_in(12));
        let mut index =
            || chance.below(2 * length as usize + slack).min(1 << 40) as i64 - length as i64;
        let indices = match length {
            0 => json!([]),
            _ if slack == 0 && length % 7 == 3 => json!(index()),
            _ => json!((0..length % 11 + 1).map(|_| index()).collect::<Vec<_>>()),
        };
        if whole { json!({"indices": indices}) } else { json!({"axis": axis, "indices": indices}) }
    });
    cases.extend(of_one(40, "pad", |chance, shape, dtype| {
        let widths: Vec<[usize; 2]> =
            shape.iter().map(|_| [chance.below(4), chance.below(3)]).collect();
        let widths = match chance.below(6) {
            _ if shape.is_empty() => json!(2),
            0 => json!(chance.below(3)),
            1 => json!([chance.below(3), chance.below(3)]),
            2 => json!([[chance.below(3), chance.below(3)]]),
            _ => json!(widths),
        };
        let value = match dtype {
            _ if chance.one_in(3) => return json!({"widths": widths}),
            DType::Bool => json!(true),
            DType::F16 | DType::F32 | DType::F64 => json!("nan"),
            DType::C64 | DType::C128 => json!([1.5, -2]),
            DType::Datetime(_) | DType::Timedelta(_) => json!("NaT"),
            _ => json!(100),
        };
        json!({"widths": widths, "value": value})
    }));
    cases.extend(of_one(41, "roll", |chance, shape, _| {
        let count = shape.len();
        let mut shift = || chance.below(30) as i64 - 12;
        let shifts = [shift(), shift()];
        match chance.below(6) {
            0 => json!({"shift": shifts[0]}),
            1 => json!({"shift": shifts}),
            2 => json!({"shift": shifts, "axis": axis(chance, count)}),
            3 => json!({"shift": shifts, "axis": [axis(chance, count), axis(chance, count)]}),
            4 => json!({"shift": shifts[0], "axis": [axis(chance, count), axis(chance, count)]}),
            _ => json!({"shift": 10_000_000_007_i64, "axis": axis(chance, count)}),
        }
    }));
    check(&cases);
}

#[test]
fn side_by_side() {
    let chance = &mut Chance::new(42);
    let dtypes: Vec<DType> = DType::all().collect();
    let mut cases = Vec::new();
    for round in 0..CASES {
        let dtype = dtypes[round % dtypes.len()];
        let shape = chance.shape();
        let along = axis(chance, shape.len());
        let place = if along < 0 { along + shape.len() as i64 } else { along } as usize;
        let (mut behind, mut stacked) = (Vec::new(), Vec::new());
        for _ in 0..1 + chance.below(4) {
            let numbers = dtype < DType::F16 && !chance.one_in(3);
            let other = if numbers { chance.pick(&DType::BASIC) } else { dtype };
            let mut longer = shape.clone();
            if let Some(length) = longer.get_mut(place) {
                *length = chance.below(5) as u64;
            }
            if chance.one_in(30) {
                longer.push(1);
            }
            behind.push(given(chance, other, &longer, Fill::Wild));
            let own = if chance.one_in(30) { &longer } else { &shape };
            stacked.push(given(chance, other, own, Fill::Wild));
        }
        cases.push(case("concatenate", json!({"axis": along}), behind, Class::Exact));
        let new = axis(chance, shape.len() + 1);
        cases.push(case("stack", json!({"axis": new}), stacked, Class::Exact));
        cases.push(blocks(chance, dtype));
    }
    check(&cases);
}

/// A grid of blocks that fit, now and then one that does not.
fn blocks(chance: &mut Chance, dtype: DType) -> Case {
    let grid: Vec<u64> = (0..1 + chance.below(3)).map(|_| 1 + chance.below(3) as u64).collect();
    let front = chance.below(2);
    let sides: Vec<Vec<u64>> = grid
        .iter()
        .map(|length| {
            (0..*length).map(|_| chance.below(4) as u64 + u64::from(front == 1)).collect()
        })
        .collect();
    let mut inputs = Vec::new();
    for index in 0..grid.iter().product::<u64>() {
        let mut rest = index;
        let mut shape: Vec<u64> = Vec::new();
        for (length, sides) in grid.iter().zip(&sides).rev() {
            shape.insert(0, sides[(rest % length) as usize]);
            rest /= length;
        }
        shape.splice(0..0, vec![2; front]);
        if chance.one_in(40) {
            shape.pop();
        }
        if grid == [1] && chance.one_in(2) {
            shape.clear();
        }
        inputs.push(given(chance, dtype, &shape, Fill::Wild));
    }
    case("block", json!({"grid": grid}), inputs, Class::Exact)
}

#[test]
fn threads_change_no_byte() {
    let store = Store::new(0);
    let folder = tempfile::tempdir().unwrap();
    let chance = &mut Chance::new(43);
    let shape = [1, 701, 3, 307];
    let input = given(chance, DType::I32, &shape, Fill::Wild);
    let other = given(chance, DType::I16, &shape, Fill::Wild);
    let a = array(&store, input.dtype, &shape, &input.bytes);
    let b = array(&store, other.dtype, &shape, &other.bytes);
    let indices: Vec<i64> = (0..2000).map(|index| index * 31 % 701).collect();
    let cases = [
        ("transpose", json!({}), 1),
        ("transpose", json!({"axes": [2, 3, 0, 1]}), 1),
        ("reshape", json!({"shape": [-1]}), 1),
        ("slice", json!({"ranges": [null, [null, null, -1], 2, [5, null, 1]]}), 1),
        ("take", json!({"axis": 1, "indices": indices}), 1),
        (
            "take",
            json!({"axis": 3, "indices": indices[..300].iter().map(|i| i % 307).collect::<Vec<_>>()}),
            1,
        ),
        ("concatenate", json!({"axis": 1}), 2),
        ("concatenate", json!({"axis": -1}), 2),
        ("stack", json!({"axis": 0}), 2),
        ("stack", json!({"axis": -1}), 2),
        ("block", json!({"grid": [2, 1]}), 2),
        ("broadcast_to", json!({"shape": [3, 701, 3, 307]}), 1),
        ("pad", json!({"widths": [[2, 1], [3, 5], [0, 1], [1, 1]], "value": 7}), 1),
        ("flip", json!({}), 1),
        ("roll", json!({"shift": 12345}), 1),
        ("roll", json!({"shift": [5, -7], "axis": [1, 3]}), 1),
        ("expand_dims", json!({"axis": 0}), 1),
        ("squeeze", json!({}), 1),
    ];
    for (kernel, parameters, count) in cases {
        let inputs = &[a.clone(), b.clone()][..count];
        let parsed = parse(kernel, &params(&parameters), count).unwrap();
        let mut surroundings = context(&store, folder.path());
        surroundings.threads = 1;
        let expected = parsed.run(&surroundings, inputs).unwrap();
        for threads in [2, 3, 8] {
            surroundings.threads = threads;
            let result = parsed.run(&surroundings, inputs).unwrap();
            assert_eq!(result.header(), expected.header());
            assert!(result.bytes() == expected.bytes(), "{kernel} {parameters} {threads}");
        }
    }
}

#[test]
fn faults_have_numpys_words_and_no_size_overflows() {
    let store = Store::new(1 << 20);
    let folder = tempfile::tempdir().unwrap();
    let input = |shape: &[u64]| {
        let count: u64 = shape.iter().product();
        array(&store, DType::U8, shape, &vec![1; count as usize])
    };
    let most = i64::MAX;
    let cases = [
        (
            "reshape",
            json!({"shape": [5, -1]}),
            vec![input(&[12])],
            "array of size 12 into shape (5,-1)",
        ),
        ("reshape", json!({"shape": [most, most, 2]}), vec![input(&[2])], "cannot reshape array"),
        ("broadcast_to", json!({"shape": [most, most]}), vec![input(&[1])], "is too big"),
        ("broadcast_to", json!({"shape": [3]}), vec![input(&[2])], "(2,) and requested shape (3,)"),
        ("pad", json!({"widths": most}), vec![input(&[2])], "is too big"),
        (
            "pad",
            json!({"widths": [[1, 1]], "value": 300}),
            vec![input(&[2])],
            "300 is out of bounds",
        ),
        ("pad", json!({"widths": 1, "value": "NaT"}), vec![input(&[2])], "\"NaT\" is no uint8"),
        ("pad", json!({"widths": [[1, 1], [1, 1]]}), vec![input(&[2])], "widths for 2 axes"),
        (
            "take",
            json!({"axis": 0, "indices": [2]}),
            vec![input(&[2])],
            "index 2 is out of bounds for axis 0 with size 2",
        ),
        ("take", json!({"axis": 0, "indices": [0]}), vec![input(&[0])], "non-empty take"),
        ("squeeze", json!({"axis": 0}), vec![input(&[2])], "size not equal to one"),
        ("flip", json!({"axis": [0, 0]}), vec![input(&[2])], "repeated axis"),
        ("roll", json!({"shift": [1, 2], "axis": [0, 0, 0]}), vec![input(&[2])], "shape mismatch"),
        ("stack", json!({}), vec![input(&[2]), input(&[3])], "same shape, not (2,) and (3,)"),
        (
            "block",
            json!({"grid": [1, 2]}),
            vec![input(&[2, 1]), input(&[3, 1])],
            "must match exactly",
        ),
        ("concatenate", json!({"axis": 1}), vec![input(&[2])], "axis 1 is out of bounds"),
    ];
    for (kernel, parameters, inputs, expected) in cases {
        let parsed = parse(kernel, &params(&parameters), inputs.len()).unwrap();
        let error = parsed.run(&context(&store, folder.path()), &inputs).unwrap_err();
        assert!(error.message.contains(expected), "{kernel}: {}", error.message);
    }
    for (kernel, parameters, count, expected) in [
        ("reshape", json!({"shape": [-1, -1]}), 1, "only specify one unknown dimension"),
        ("reshape", json!({"shape": [-2]}), 1, "expected lengths and one -1"),
        ("reshape", json!({"shape": vec![1; 65]}), 1, "65 axes"),
        ("block", json!({"grid": [2, 2]}), 3, "(2,2) does not hold 3 inputs"),
        ("pad", json!({"widths": [-1, 0]}), 1, "can't contain negative values"),
        ("pad", json!({"widths": [[1, 2, 3]]}), 1, "found 3 numbers"),
        ("take", json!({"axis": 0}), 1, "needs the parameter 'indices'"),
    ] {
        let error = parse(kernel, &params(&parameters), count).unwrap_err().to_string();
        assert!(error.contains(expected), "{kernel}: {error}");
    }
}
