"""A model behind a guard. Run it, change policies/policies.cedar, and run it again."""

from pathlib import Path

from guardrail import Denied, Entity, Guard, Principal

guard = Guard.from_dir(Path(__file__).parent / "policies")


# The guard stands around the function. Its signature and its types stay as they are.
@guard.protect(action="predict", resource='Model::"prices"', input="house")
def predict(house: dict[str, float]) -> dict[str, float]:
    """Your model goes here. This one prices a house, in thousands."""
    return {"price": 48.351 + 2.7183 * house["area_m2"] - 0.3142 * house["age_years"]}


# A service would use `guard.acting_as(token=...)`; here the application vouches for callers.
agent = Principal("User", "anna", parents=[Entity("Role", "agent")])
guest = Principal("User", "gus", parents=[Entity("Role", "guest")])
stranger = Principal("User", "sam")

house = {"area_m2": 96.5, "age_years": 31.0}
calls = [
    ("an agent", agent, house),
    ("a guest sees it rounded", guest, house),
    ("an area below zero", agent, {"area_m2": -96.5, "age_years": 31.0}),
    ("a stranger, with no role", stranger, house),
]


def main() -> None:
    """Make the four calls and print how each one ends."""
    print(f"{guard.name} {guard.version}, revision {guard.revision[:12]}\n")
    for who, principal, features in calls:
        try:
            with guard.acting_as(principal):
                outcome = f"allowed  {predict(features)}"
        except Denied as denial:
            place = f" at {denial.path}" if denial.path else ""
            outcome = f"denied   {denial.code}{place}"
        print(f"{who:26}{outcome}")


if __name__ == "__main__":
    main()
