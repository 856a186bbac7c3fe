"""From a trained model to the verdict, to the alias champion where the verdict says so, and to where it answers.

Two pipelines of the same steps: adapters of the in-context family are not served, so theirs ends with the champion.
"""

from components.deploy import component as deployment
from components.evaluate import component as evaluation
from components.evaluate_champion import component as champion_evaluation
from components.export_serving import component as export
from components.gate import component as gating
from components.place import put
from components.promote import component as promotion
from components.register import component as registration
from components.smoke_dub import component as smoke
from kfp import dsl


def _steps(model, workspace, code, preset, benchmark, policy, registry, name, heads, voices, deploy=None):
    """Of both; ``deploy`` is None where there is nothing to be decided."""
    registered = put(
        registration.register(
            model=model, workspace=workspace, code=code, registry=registry, name=name, heads=heads, voices=voices
        ),
        registration.PLACE,
    )
    with dsl.If(registered.outputs["Output"] > 0, name="is new"):
        challenger = put(
            evaluation.evaluate(
                package=registered.outputs["package"],
                workspace=workspace,
                code=code,
                benchmark=benchmark,
                preset=preset,
            ),
            evaluation.PLACE,
        )
        champion = put(
            champion_evaluation.evaluate_champion(
                workspace=workspace, code=code, registry=registry, name=name, benchmark=benchmark, preset=preset
            ),
            champion_evaluation.PLACE,
        )
        decided = put(
            gating.gate(
                challenger=challenger.outputs["card"],
                champion=champion.outputs["card"],
                workspace=workspace,
                code=code,
                policy=policy,
                name=name,
            ),
            gating.PLACE,
        )
        with dsl.If(decided.outputs["Output"] == 1, name="is better"):
            promoted = put(
                promotion.promote(
                    verdict=decided.outputs["verdict"],
                    workspace=workspace,
                    code=code,
                    registry=registry,
                    name=name,
                    version=registered.outputs["Output"],
                ),
                promotion.PLACE,
            )
            dubbed = put(
                smoke.smoke_dub(
                    workspace=workspace, code=code, registry=registry, name=name, benchmark=benchmark, preset=preset
                ),
                smoke.PLACE,
            ).after(promoted)
            if deploy is None:
                return
            with dsl.If(deploy == True, name="is deployed"):  # noqa: E712 - KFP compiles the comparison
                exported = put(
                    export.export_serving(
                        package=registered.outputs["package"],
                        workspace=workspace,
                        code=code,
                        registry=registry,
                        name=name,
                        version=registered.outputs["Output"],
                    ),
                    export.PLACE,
                ).after(dubbed)
                put(
                    deployment.deploy(exported=exported.outputs["exported"], workspace=workspace, code=code, name=name),
                    deployment.PLACE,
                )


@dsl.pipeline(name="judged", description="Register a model, judge it beside the champion, promote it by the verdict.")
def judged(
    model: dsl.Input[dsl.Model],
    workspace: str,
    code: str,
    preset: str,
    benchmark: str,
    policy: str,
    registry: str,
    name: str,
    heads: dsl.Input[dsl.Dataset] = None,
    voices: dsl.Input[dsl.Dataset] = None,
):
    """Nothing is judged where the model is the champion already."""
    _steps(model, workspace, code, preset, benchmark, policy, registry, name, heads, voices)


@dsl.pipeline(name="judged-and-served", description="As judged; what was promoted is served at last, where asked for.")
def judged_and_served(
    model: dsl.Input[dsl.Model],
    workspace: str,
    code: str,
    preset: str,
    benchmark: str,
    policy: str,
    registry: str,
    name: str,
    deploy: bool,
    heads: dsl.Input[dsl.Dataset] = None,
    voices: dsl.Input[dsl.Dataset] = None,
):
    """Nothing is judged, and nothing deployed, where the model is the champion already."""
    _steps(model, workspace, code, preset, benchmark, policy, registry, name, heads, voices, deploy)
