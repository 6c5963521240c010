//! Keeps the index current: for each kind a list, then a watch that goes on where the list ended, folded into its half.
//!
//! Both are read object by object, and no object is kept as it came: kube's watcher holds pages and trees of them.

mod binding_index;
mod follow;
mod full_list;

pub(crate) use binding_index::{BindingIndex, Change};
pub(crate) use full_list::list_live;
