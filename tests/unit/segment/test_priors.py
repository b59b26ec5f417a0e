import hashlib
import shutil

import numpy as np
import pytest

from mrisr.common.errors import InputError
from mrisr.segment import priors
from mrisr.volumes.io import Volume, load, load_series, save
from mrisr.volumes.regions import REGIONS


@pytest.fixture(scope="module")
def atlas():
    return priors.atlas()


@pytest.fixture(scope="module")
def folder(atlas, tmp_path_factory):
    """A folder of priors as a user would give it: the atlas, every other voxel."""
    template, maps = atlas
    folder = tmp_path_factory.mktemp("priors")
    affine = template.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    for name, data in zip([priors.TEMPLATE, *priors.PRIORS], [template.data, *maps], strict=True):
        save(Volume(data[::2, ::2, ::2], affine), folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "mine")


def collect(which, tmp_path):
    outputs = tmp_path / "template.nii.gz", tmp_path / "priors.nii.gz"
    priors.collect(str(which), tmp_path / "downloads", *outputs)
    return load(outputs[0]), load_series(outputs[1], 6)


def test_the_atlas_is_a_brain(atlas):
    template, maps = atlas
    assert maps.dtype == np.float32 and maps.shape == (6, *template.data.shape)
    assert maps.min() >= 0
    total = maps.sum(axis=0)
    assert total.max() < 1.00001
    # All of the template's brain, and nothing else, is covered.
    assert np.mean(total[template.data > 0.3 * template.data.max()] > 0.5) > 0.98
    assert np.mean(template.data[total > 0.5] > 0) > 0.98
    ml = dict(zip(REGIONS, maps.sum(axis=(1, 2, 3)) * 0.008, strict=True))
    # Volumes of an adult brain (FreeSurfer norms), loosely.
    assert 500 < ml["gray_matter"] < 1000 and 400 < ml["white_matter"] < 800
    assert 30 < ml["deep_gray_matter"] < 75 and 18 < ml["brain_stem"] < 40
    assert 100 < ml["cerebellum"] < 220 and 100 < ml["csf"] < 500


@pytest.mark.parametrize(
    ("mm", "region"),
    [
        ((0, -28, -35), "brain_stem"),  # pons
        ((30, -62, -42), "cerebellum"),
        ((-30, -62, -42), "cerebellum"),
        ((11, -18, 7), "deep_gray_matter"),  # thalamus
        ((-26, 2, 0), "deep_gray_matter"),  # putamen
        ((28, -24, 32), "white_matter"),  # corona radiata
        ((42, -20, 54), "gray_matter"),  # precentral gyrus
        ((5, 8, 14), "csf"),  # lateral ventricle
    ],
)
def test_the_atlas_knows_anatomy(atlas, mm, region):
    template, maps = atlas
    x, y, z = np.rint(np.linalg.inv(template.affine) @ [*mm, 1])[:3].astype(int)
    # The most likely within 2 mm: the maps are coarse.
    near = maps[:, x - 1 : x + 2, y - 1 : y + 2, z - 1 : z + 2].sum(axis=(1, 2, 3))
    assert list(REGIONS)[int(np.argmax(near))] == region


def test_the_atlas_is_symmetric(atlas):
    template, maps = atlas
    assert template.affine[0, 3] == -template.affine[0, 0] * (maps.shape[1] - 1) / 2
    for part in maps[3:]:
        assert abs(part.sum() - 2 * part[: maps.shape[1] // 2].sum()) < 0.1 * part.sum()


def test_a_folder(folder, tmp_path):
    template, maps = collect(folder, tmp_path)
    assert maps.shape == (6, *template.data.shape)
    np.testing.assert_allclose(maps[4], load(folder / "prior5.nii.gz").data, atol=1e-6)
    np.testing.assert_allclose(template.data, load(folder / "template.nii.gz").data)
    assert len(priors.local_files(str(folder))) == 7
    assert priors.local_files("atlas") == priors.local_files("oasis30ants") == []


def test_what_is_missing_is_named(copy, tmp_path):
    (copy / "prior2.nii.gz").unlink()
    (copy / "prior6.nii.gz").unlink()
    with pytest.raises(InputError, match=r"mine has no prior2\.nii\.gz, prior6\.nii\.gz"):
        priors.local_files(str(copy))
    with pytest.raises(InputError, match=r"segmentation\.priors: no folder .*atlass.*oasis30ants"):
        priors.local_files("atlass")


def change(path, function):
    volume = load(path)
    volume.data = function(volume.data)
    save(volume, path)


@pytest.mark.parametrize(
    ("file", "function", "message"),
    [
        ("prior3", lambda d: d[1:], r"prior3.*must lie on one grid"),
        ("prior3", lambda d: d * 255, r"prior3.*from 0 to 255.*probabilities"),
        ("prior5", lambda d: d * 0, r"prior5.*from 0 to 0"),
        ("prior1", lambda d: d * 0 + 1, r"no human brain"),
    ],
)
def test_priors_that_are_none_are_refused(copy, tmp_path, file, function, message):
    change(copy / f"{file}.nii.gz", function)
    with pytest.raises(InputError, match=message):
        collect(copy, tmp_path)
    assert not (tmp_path / "priors.nii.gz").exists()


def test_another_order_is_refused(copy, tmp_path):
    a, b, c = (copy / f"{name}.nii.gz" for name in ("prior2", "prior4", "other"))
    a.rename(c), b.rename(a), c.rename(b)
    with pytest.raises(InputError, match=r"prior2.*ml.*order must be CSF, gray matter"):
        collect(copy, tmp_path)


def test_priors_that_add_up_to_more_are_refused(copy, tmp_path):
    gray, white = load(copy / "prior2.nii.gz").data, load(copy / "prior3.nii.gz").data
    for name in ("prior2", "prior3"):
        change(copy / f"{name}.nii.gz", lambda d: np.clip(2 * (gray + white), 0, 1))
    with pytest.raises(InputError, match=r"add up to more than 1\.5 in \d+ %"):
        collect(copy, tmp_path)


def test_without_a_template_the_priors_must_lie_in_the_bundled_space(copy, tmp_path):
    (copy / "template.nii.gz").unlink()
    with pytest.raises(InputError, match=r"nilearn's MNI152 template"):
        collect(copy, tmp_path)


@pytest.fixture
def oasis(server, folder, monkeypatch):
    """The seven files of OASIS-30 on a web server, with checksums of their own."""
    stated = {}
    for name, ours in zip(priors.OASIS_FILES, [priors.TEMPLATE, *priors.PRIORS], strict=True):
        content = (folder / f"{ours}.nii.gz").read_bytes()
        server.files[f"/{name}.nii.gz"] = content
        stated[name] = (len(content), hashlib.md5(content).hexdigest())
    url = f"http://127.0.0.1:{server.server_port}/{{subject}}.nii.gz"
    monkeypatch.setattr(priors, "OASIS_URL", url)
    monkeypatch.setattr(priors, "OASIS_FILES", stated)
    return server


def test_the_public_template_is_fetched_once_and_checked(oasis, folder, tmp_path, caplog):
    caplog.set_level("INFO", "mrisr")
    template, maps = collect("oasis30ants", tmp_path)
    np.testing.assert_allclose(maps[0], load(folder / "prior1.nii.gz").data, atol=1e-6)
    assert caplog.text.count("OASIS30ANTs: licence: CC BY 4.0; cite: Avants B.") == 1
    assert "fetch oasis30ants: 7 scans" in caplog.text
    oasis.files.clear()
    again, _ = collect("oasis30ants", tmp_path)
    np.testing.assert_array_equal(again.data, template.data)


def test_a_wrong_checksum_or_no_network_says_what_to_do(oasis, tmp_path):
    other = oasis.files["/tpl-OASIS30ANTs_res-01_label-CSF_probseg.nii.gz"]
    oasis.files["/tpl-OASIS30ANTs_res-01_label-BS_probseg.nii.gz"] = other
    with pytest.raises(InputError) as caught:
        collect("oasis30ants", tmp_path)
    message = str(caught.value)
    assert "label-BS" in message and "label-CSF" not in message
    assert "stated in https://www.templateflow.org" in message
    assert "segmentation.priors: <folder>" in message
    assert str(tmp_path / "downloads" / "oasis30ants") in message
    assert not (tmp_path / "priors.nii.gz").exists()


def test_published_checksums_are_of_six_tissues_in_order():
    tissues = [name.split("label-")[1].split("_")[0] for name in list(priors.OASIS_FILES)[1:]]
    assert tissues == ["CSF", "CGM", "WM", "SCGM", "BS", "CBM"]
    assert all(len(md5) == 32 for _, md5 in priors.OASIS_FILES.values())
