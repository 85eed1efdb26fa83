//! System calls that a process keeps, and every other given up for good (`seccomp(2)`).

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

/// A system call that stays possible.
#[derive(Debug, Clone)]
pub struct Allowed {
    number: i64,
    /// Conditions on arguments that must all hold; none is any call.
    conditions: Vec<Condition>,
}

/// An argument by its place, counted from 0: of its bits in `mask`, exactly those of `value`.
#[derive(Debug, Clone, Copy)]
struct Condition {
    argument: u8,
    mask: u64,
    value: u64,
}

/// Why nothing was given up.
#[derive(Debug, thiserror::Error)]
#[error("give up system calls")]
pub struct ConfineError(#[source] Error);

impl Allowed {
    /// The call of this number (`libc::SYS_*`), whatever its arguments.
    pub fn always(number: i64) -> Self {
        Self { number, conditions: Vec::new() }
    }

    /// Only when this argument, counted from 0, is `value`; its lower 32 bits count.
    #[must_use]
    pub fn with(self, argument: u8, value: u32) -> Self {
        self.with_bits(argument, u32::MAX, value)
    }

    /// Only when this argument's bits in `mask` are those of `value`.
    #[must_use]
    pub fn with_bits(mut self, argument: u8, mask: u32, value: u32) -> Self {
        self.conditions.push(Condition { argument, mask: mask.into(), value: value.into() });
        self
    }
}

/// From now on the threads of this process, those to come too, may make the calls in `allowed`;
/// another one ends the process with `SIGSYS`. A call named twice is allowed either way. Also
/// forbids new privileges. Called again, what both lists allow stays possible, provided the first
/// one allows the call that confines.
pub fn confine(allowed: &[Allowed]) -> Result<(), ConfineError> {
    let program = program(allowed).map_err(|error| ConfineError(error.into()))?;
    apply_filter_all_threads(&program).map_err(ConfineError)
}

fn program(allowed: &[Allowed]) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in allowed.iter().filter(|call| !call.conditions.is_empty()) {
        let conditions = call.conditions.iter().map(Condition::compile);
        let rule = SeccompRule::new(conditions.collect::<Result<_, _>>()?)?;
        rules.entry(call.number).or_default().push(rule);
    }
    // No rules is any call.
    for call in allowed.iter().filter(|call| call.conditions.is_empty()) {
        rules.insert(call.number, Vec::new());
    }
    let arch = TargetArch::try_from(ARCH)?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?.try_into()
}

impl Condition {
    fn compile(&self) -> Result<SeccompCondition, seccompiler::BackendError> {
        let equal = SeccompCmpOp::MaskedEq(self.mask);
        SeccompCondition::new(self.argument, SeccompCmpArgLen::Dword, equal, self.value)
    }
}
