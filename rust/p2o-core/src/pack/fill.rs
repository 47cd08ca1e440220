//! One pass that writes the token arrays of packed micro-batches.
#![expect(
    clippy::cast_possible_wrap,
    reason = "torch indexes with i64, flash attention with i32; micro-batches are far shorter than 2^31"
)]

use super::{PackError, Packing};

/// The label of positions whose prediction does not count (what `torch.nn.functional.cross_entropy` ignores).
pub const IGNORED_LABEL: i64 = -100;

/// Rows (prompt and response) as flat arrays.
///
/// The response tokens of all rows, in row order, form a second flat axis: the `streams` live on it.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Token ids of all rows, one after the other.
    pub tokens: &'a [i64],
    /// Start of each row in `tokens` and the end of the last.
    pub offsets: &'a [i64],
    /// Prompt tokens at the start of each row, at least one.
    pub prompt_lengths: &'a [i64],
    /// The advantage of each row.
    pub advantages: &'a [f32],
    /// Whether each row's response enters the loss.
    pub trained: &'a [bool],
    /// Named values of every response token.
    pub streams: &'a [(&'a str, &'a [f32])],
}

/// The arrays of all micro-batches, one after the other in the packing's order.
///
/// Position t predicts the token at t + 1, so what belongs to a response token (label, mask, advantage, streams) stands
/// at the position *before* it: hidden states and labels line up without a shift. No row's last position has a label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filled {
    /// Token ids.
    pub input_ids: Vec<i64>,
    /// Position within the row, from 0: attention kernels take a restart for a new sequence.
    pub position_ids: Vec<i64>,
    /// The token that follows, if it is a response token, else [`IGNORED_LABEL`].
    pub labels: Vec<i64>,
    /// 1 where the label is a response token of a trained row, else 0.
    pub loss_mask: Vec<f32>,
    /// The row's advantage where there is a label, else 0.
    pub advantages: Vec<f32>,
    /// The row's number within its micro-batch, from 0.
    pub sequence_ids: Vec<i64>,
    /// The streams, each 0 where there is no label.
    pub streams: Vec<Vec<f32>>,
    /// Start of each micro-batch in the arrays above and the end of the last.
    pub token_offsets: Vec<i64>,
    /// For each micro-batch the start of each of its rows, counted from its own start, and its length.
    pub cu_seqlens: Vec<i32>,
    /// Start of each micro-batch in `cu_seqlens` and the end of the last.
    pub cu_seqlens_offsets: Vec<i64>,
    /// The longest row of each micro-batch.
    pub max_seqlens: Vec<i32>,
    /// Where each response token, in row order, has its label: `packed[response_positions]` undoes the packing.
    pub response_positions: Vec<i64>,
}

/// Writes the arrays of all micro-batches of a packing.
///
/// # Errors
///
/// A [`PackError`] that names the array, row or entry that contradicts the others.
pub fn fill(packing: &Packing, rows: &Rows<'_>) -> Result<Filled, PackError> {
    let response_starts = check(rows)?;
    let row_count = rows.prompt_lengths.len();
    let edges = &packing.bin_offsets;
    if edges.first() != Some(&0)
        || edges.last().map(|&end| end as usize) != Some(packing.indices.len())
        || !edges.is_sorted()
    {
        return Err(PackError::Bins(packing.indices.len()));
    }
    let mut total = 0;
    let mut named = vec![false; row_count];
    for &row in &packing.indices {
        let row = row as usize;
        if row >= row_count || std::mem::replace(&mut named[row], true) {
            return Err(PackError::Row { row, rows: row_count });
        }
        total += (rows.offsets[row + 1] - rows.offsets[row]) as usize;
    }
    if packing.indices.len() != row_count {
        let (found, expected) = (packing.indices.len(), row_count);
        return Err(PackError::Length { name: "the packing".into(), found, expected });
    }

    let mut filled = Filled {
        input_ids: Vec::with_capacity(total),
        position_ids: Vec::with_capacity(total),
        labels: Vec::with_capacity(total),
        loss_mask: Vec::with_capacity(total),
        advantages: Vec::with_capacity(total),
        sequence_ids: Vec::with_capacity(total),
        streams: rows.streams.iter().map(|_| Vec::with_capacity(total)).collect(),
        token_offsets: vec![0],
        cu_seqlens: Vec::with_capacity(row_count + packing.ranks.len()),
        cu_seqlens_offsets: vec![0],
        max_seqlens: Vec::with_capacity(packing.ranks.len()),
        response_positions: vec![0; response_starts.last().copied().unwrap_or(0)],
    };
    for bin in packing.bins() {
        let start = filled.input_ids.len();
        let mut longest = 0;
        filled.cu_seqlens.push(0);
        for (sequence, &row) in (0i64..).zip(bin) {
            let row = row as usize;
            let length = append_row(&mut filled, rows, row, sequence, response_starts[row]);
            longest = longest.max(length);
            filled.cu_seqlens.push((filled.input_ids.len() - start) as i32);
        }
        filled.token_offsets.push(filled.input_ids.len() as i64);
        filled.cu_seqlens_offsets.push(filled.cu_seqlens.len() as i64);
        filled.max_seqlens.push(longest as i32);
    }
    Ok(filled)
}

/// Appends one row to all arrays; returns its length.
fn append_row(
    filled: &mut Filled,
    rows: &Rows<'_>,
    row: usize,
    sequence: i64,
    response_start: usize,
) -> usize {
    let tokens = &rows.tokens[rows.offsets[row] as usize..rows.offsets[row + 1] as usize];
    let prompt = rows.prompt_lengths[row] as usize;
    let response = tokens.len() - prompt;
    // The label of the first response token stands at the last position of the prompt.
    let first = filled.input_ids.len() + prompt - 1;
    let end = filled.input_ids.len() + tokens.len();

    filled.input_ids.extend_from_slice(tokens);
    filled.position_ids.extend(0..tokens.len() as i64);
    filled.sequence_ids.resize(end, sequence);
    filled.labels.resize(first, IGNORED_LABEL);
    filled.labels.extend_from_slice(&tokens[prompt..]);
    filled.labels.resize(end, IGNORED_LABEL);
    for (values, value) in [
        (&mut filled.loss_mask, f32::from(u8::from(rows.trained[row]))),
        (&mut filled.advantages, rows.advantages[row]),
    ] {
        values.resize(first, 0.0);
        values.resize(first + response, value);
        values.resize(end, 0.0);
    }
    for (values, (_, stream)) in filled.streams.iter_mut().zip(rows.streams) {
        values.resize(first, 0.0);
        values.extend_from_slice(&stream[response_start..response_start + response]);
        values.resize(end, 0.0);
    }
    let positions = &mut filled.response_positions[response_start..response_start + response];
    for (position, at) in positions.iter_mut().zip(first as i64..) {
        *position = at;
    }
    tokens.len()
}

/// Checks the arrays against each other; returns the start of each row's response on the flat response axis, and its
/// end.
fn check(rows: &Rows<'_>) -> Result<Vec<usize>, PackError> {
    let row_count = rows.prompt_lengths.len();
    let expect = |name: &str, found: usize, expected: usize| {
        if found == expected { Ok(()) } else { Err(PackError::Length { name: name.into(), found, expected }) }
    };
    expect("offsets", rows.offsets.len(), row_count + 1)?;
    expect("advantages", rows.advantages.len(), row_count)?;
    expect("trained", rows.trained.len(), row_count)?;
    let tokens = rows.tokens.len();
    if rows.offsets[0] != 0 {
        return Err(PackError::Offsets { tokens, entry: 0 });
    }
    let mut starts = Vec::with_capacity(row_count + 1);
    let mut responses = 0;
    for (row, (edge, &prompt)) in rows.offsets.windows(2).zip(rows.prompt_lengths).enumerate() {
        if edge[1] < edge[0] || edge[1] > tokens as i64 {
            return Err(PackError::Offsets { tokens, entry: row + 1 });
        }
        let length = (edge[1] - edge[0]) as usize;
        if prompt < 1 || prompt > length as i64 {
            return Err(PackError::Prompt { row, length, prompt });
        }
        starts.push(responses);
        responses += length - prompt as usize;
    }
    if rows.offsets[row_count] != tokens as i64 {
        return Err(PackError::Offsets { tokens, entry: row_count });
    }
    starts.push(responses);
    for (name, stream) in rows.streams {
        expect(name, stream.len(), responses)?;
    }
    Ok(starts)
}
