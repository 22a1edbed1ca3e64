# SPDX-License-Identifier: GPL-2.0-or-later
"""
The words of a qualification as frozen values: cases, observations, findings, verdicts. Standard library only, imports nobody.

==================  ==================================================================================================
``case``            ``CaseKey`` (parse/str), ``Phase``, ``Impact``, ``RequiredRow``
``plan``            ``PlannedCase``, ``Profile``, ``Plan``; each with ``to_json()`` and ``from_json()``
``observation``     ``Observation``, ``Evidence``, ``CaseTrace``: what one test wrote down
``record``          ``Attempt``, ``CampaignRecord``: what one campaign left behind, the judge's only input from the node
``answer``          ``Answer`` met / unmet / unknown, ``Judgement``
``finding``         ``FindingKind``, ``Severity``, ``Finding``, ``Waiver``
``fingerprint``     ``normalise`` and ``fingerprint``: what two sights of one fault have in common
``verdict``         ``Verdict`` and ``fold``, the one way to it
``qualification``   ``Qualification``: everything that a report may say
==================  ==================================================================================================
"""
