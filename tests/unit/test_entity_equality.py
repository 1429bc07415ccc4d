from guardrail.values import Entity, Resource


def test_other_id_or_type_is_another_entity():
    assert Entity("Model", "tumour") != Entity("Model", "other")
    assert Entity("Model", "tumour") != Entity("Role", "tumour")


def test_text_is_no_entity():
    assert Entity("Model", "tumour") != 'Model::"tumour"'


def test_resource_is_the_entity_that_it_names():
    assert Resource("Model", "tumour") == Entity("Model", "tumour")
    assert Resource("Model", "tumour") in {Entity("Model", "tumour")}
