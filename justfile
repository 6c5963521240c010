# Each recipe is a section of .ci/run, which CI runs without `just`: .ci/run compares its sections with these recipes.
# CONTRIBUTING.md says what each needs.

_list:
    @just --list --unsorted

# everything but the advisories, as before a merge
all:
    .ci/run

# the versions of the tools
tools:
    .ci/run tools

# rustfmt, and this file
format:
    .ci/run format

# clippy
lints:
    .ci/run lints

# crates: which may not be there, licences, where they come from
dependencies:
    .ci/run dependencies

# crates: known vulnerabilities; fetches the advisory database from GitHub
advisories:
    .ci/run advisories

# the image, as it is released; as root
image:
    .ci/run image

# the CRD, the chart, and what else is generated or copied
generated:
    .ci/run generated

# every test of the workspace; counts what it covers
test:
    .ci/run test

# how much was covered since `just test` began, and whether it is enough
coverage:
    .ci/run coverage

# Alibaba Cloud's official SDKs against the simulator
conformance:
    .ci/run conformance

# the demo, and whether it showed what it should
demo:
    .ci/run demo

# the image of `just image` in pods of a real node; as root
in-pods:
    .ci/run in-pods
