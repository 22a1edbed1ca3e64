# SPDX-License-Identifier: GPL-2.0-or-later
"""
Findings to a bug tracker: one report for each fingerprint, drafted from a judged campaign, filed at most once.

===============  ===================================================================================================
``settings``     the operator's choice of product, components, severities (closed YAML)
``draft``        Qualification -> ``Draft``: what a report says; pure
``report``       the text of a report, harmless whatever a guest called itself
``sums``         SHA-256 of the evidence
``key``          the API key: from the environment or a file of mode 0600, masked wherever text leaves
``notes``        what this desk has sent, fsynced before and after
``server``       a Bugzilla, through python-bugzilla
``filing``       search, file or comment: never twice, also when killed in between
``cli``          `avocado hvqual bugs draft | file`
===============  ===================================================================================================
"""
